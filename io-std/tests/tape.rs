//! A run over real sockets, recorded into a file, replays.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{Sender, channel},
    },
    time::Duration,
};

use samanea_core::{
    base::{Instant, NoRules, Rules, Ticket},
    chain::{Answer, Question},
    node::{Command, Config, Engine, Node, Notice},
    tape::{Ending, Options as Replaying, Replay},
};
use samanea_std::{Application, Options};

struct Watch(Mutex<Sender<Notice>>);

impl Application for Watch {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, _: Ticket, _: Question) -> Option<Answer> {
        None
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        // The test may have ended.
        let _ = self.0.lock().unwrap().send(notice.clone());
    }
}

#[test]
fn a_run_over_real_sockets_recorded_into_a_file_replays_to_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.tape");
    let (sender, notices) = channel();
    let app: Arc<dyn Application> = Arc::new(Watch(Mutex::new(sender)));
    let mut handles = Vec::new();
    for seed in [1, 2] {
        let node = Node::new(Engine::new(Config::new(42)), seed);
        let mut options = Options::default();
        options.listen = vec![([127, 0, 0, 1], 0).into()];
        if seed == 1 {
            let tape = samanea_std::tape::create(&path, &node, NoRules.name(), "test").unwrap();
            options.tap = Some(Box::new(tape));
        }
        handles.push(samanea_std::start(node, Arc::clone(&app), options).unwrap());
    }
    handles[0].command(Command::AddPeer(handles[1].listening()[0]));
    let mut ups = 0;
    while ups < 2 {
        let notice = notices.recv_timeout(Duration::from_secs(30)).unwrap();
        ups += u32::from(matches!(notice, Notice::Up { .. }));
    }
    handles.iter().for_each(samanea_std::Handle::shutdown);
    assert!(
        handles
            .iter()
            .all(|handle| handle.wait_for(Duration::from_secs(30)))
    );
    let state = handles[0].with(Clone::clone);
    drop(handles);

    let tape = std::fs::read(&path).unwrap();
    let mut replay = Replay::<Engine>::new(&NoRules, Replaying::default());
    replay.push(&tape).unwrap();
    assert_eq!(replay.node(), Some(&state));
    let report = replay.finish().unwrap();
    assert_eq!(report.ending, Ending::Complete);
    assert!(report.events > 10 && report.actions > 5, "{report:?}");
}
