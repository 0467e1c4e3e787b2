use super::*;

const LONG: Duration = Duration::from_secs(40);

#[test]
fn with_nobody_dead_everybody_gets_it_once_for_one_payload_each() {
    for n in (1..=40).chain([81, 100, 243]) {
        let mut world = World::new(n, &bare());
        world.publish(n / 3);
        world.run(LONG);
        assert_eq!(world.missed(), [], "{n} members");
        assert!(world.got.iter().all(|got| *got == 1));
        assert_eq!(world.payloads, n - 1);
        assert_eq!(world.controls, n - 1, "one acknowledgement each");
        assert_eq!(world.done.len(), n as usize, "everybody is done");
    }
}

#[test]
fn with_anybody_dead_from_the_start_adoption_reaches_the_living() {
    for n in 2..=9_u32 {
        for set in 0..1_u32 << (n - 1) {
            for adoption in [0, 3, 1_000] {
                let mut config = bare();
                config.adoption = adoption;
                let mut world = World::new(n, &config);
                for at in 1..n {
                    world.dead[at as usize] = set & 1 << (at - 1) != 0;
                }
                world.publish(0);
                world.run(LONG);
                assert_eq!(world.missed(), [], "{n} members, {set:b} dead");
                assert!(world.got.iter().all(|got| *got <= 1));
                assert_eq!(
                    world.payloads,
                    n - 1,
                    "{n} members, {set:b} dead, {adoption}"
                );
            }
        }
    }
}

#[test]
fn with_anybody_dead_from_the_start_chains_alone_reach_the_living() {
    for n in 2..=8_u32 {
        for set in 0..1_u32 << (n - 1) {
            for shape in [Shape::Exact, Shape::Legacy] {
                let mut config = plain();
                config.acks = Acks::Off;
                config.shape = shape;
                config.cleanup.custodians = 1;
                let mut world = World::new(n, &config);
                for at in 1..n {
                    world.dead[at as usize] = set & 1 << (at - 1) != 0;
                }
                world.publish(0);
                world.run(LONG);
                assert_eq!(world.missed(), [], "{n} members, {set:b} dead, {shape:?}");
                assert!(world.got.iter().all(|got| *got <= 1));
            }
        }
    }
}

#[test]
fn everything_together_is_quiet_when_nobody_is_dead() {
    for n in [3, 9, 27, 100] {
        let mut world = World::new(n, &plain());
        // Past the first digests, and not as far as the next.
        world.run(Duration::from_secs(1));
        world.controls = 0;
        world.publish(0);
        world.run(Duration::from_secs(3));
        assert_eq!(world.missed(), []);
        assert_eq!(world.payloads, n - 1, "no copy for nothing");
        let each = f64::from(world.controls) / f64::from(n);
        assert!(each < 10.0, "{each} frames without payload each of {n}");
    }
}

/// Chains that do not wait for the tree begin before it is through.
#[test]
fn chains_that_start_after_receipt_ask_while_the_tree_is_at_work() {
    let asked = |start: Start| {
        let mut config = plain();
        (config.cleanup.start, config.cleanup.patience) = (start, 0);
        config.times.digest = Duration::from_secs(86_400);
        let mut world = World::new(27, &config);
        world.dead[9] = true;
        world.publish(0);
        let mut asks = false;
        // A silent child is still waited for.
        for _ in 0..40 {
            world.run(Duration::from_millis(5));
            let frames = (1..27).flat_map(|to| world.between(0, to));
            asks |= frames
                .into_iter()
                .any(|frame| matches!(frame, Frame::Igyw(_)));
        }
        world.run(LONG);
        assert_eq!(world.missed(), []);
        asks
    };
    assert!(!asked(Start::AfterTree));
    assert!(asked(Start::AfterReceipt));
}
