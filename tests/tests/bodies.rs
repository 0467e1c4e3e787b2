//! The bodies of the fuzz targets on random bytes: a first sieve before the fuzzer.

use proptest::prelude::*;
use samanea_sim::fuzz_bodies as bodies;

macro_rules! sieve {
    ($($name:ident($cases:literal, $len:literal))*) => {
        $(proptest! {
            #![proptest_config(ProptestConfig {
                cases: $cases,
                failure_persistence: None,
                max_shrink_time: 20_000,
                ..ProptestConfig::default()
            })]

            #[test]
            fn $name(bytes in prop::collection::vec(any::<u8>(), 0..$len)) {
                bodies::$name(&bytes);
            }
        })*
    };
}

sieve! {
    frame(4_096, 200)
    reassembly(4_096, 200)
    messages(4_096, 120)
    handshake(4_096, 60)
    session(4_096, 500)
    mux(2_048, 500)
    node(64, 300)
    manager(512, 500)
    accept(512, 500)
    governor(64, 500)
    rain(1_024, 400)
}
