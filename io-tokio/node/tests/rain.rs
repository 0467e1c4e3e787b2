//! `samanea devnet --rain` and keys of structured gossip, as a user has them.

mod support;

use std::{fs, io::Read, io::Write, net::TcpStream};

use support::{Node, output, say};

/// The program's words about a run in which all went well.
fn rain(args: &[&str]) -> String {
    let (code, out, err) = output(["devnet", "--rain"].iter().chain(args));
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}\n{out}");
    let last = out.lines().last().unwrap();
    say(&format!("{args:?}: {last}"));
    out
}

#[test]
fn all_live_members_get_the_message_on_every_driver() {
    for driver in ["tokio", "std", "mixed"] {
        let out = rain(&["--members", "9", "--kill", "2", "--driver", driver]);
        assert!(out.contains("all 7 live members got the message"), "{out}");
        assert_eq!(out.matches("killed before").count(), 1, "{out}");
        assert_eq!(out.matches("killed during message 0").count(), 1, "{out}");
        assert!(
            out.contains("n - 1 is 6 for the 7 members that live"),
            "{out}"
        );
    }
}

#[test]
fn few_members_need_n_minus_one_payloads() {
    let out = rain(&["--members", "3"]);
    assert!(out.contains("all 3 live members got the message"), "{out}");
    assert!(out.contains("\n2 payloads of 1024 bytes sent;"), "{out}");
}

#[test]
fn several_large_messages_get_to_all_and_the_way_of_the_first_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tree.svg");
    let name = file.to_str().unwrap();
    let out = rain(&[
        "--members",
        "6",
        "--kill",
        "1",
        "--messages",
        "4",
        "--payload",
        "300000",
        "--rain-svg",
        name,
    ]);
    assert!(
        out.contains("all 5 live members got all 4 messages"),
        "{out}"
    );
    let text = fs::read_to_string(&file).unwrap();
    let (mut members, mut depth) = (0, 0_i32);
    for event in svg::read(&text).unwrap() {
        use svg::{node::element::tag::Type, parser::Event};
        match event {
            Event::Tag("title", Type::Start, _) => {
                members += 1;
                depth += 1;
            }
            Event::Tag(_, Type::Start, _) => depth += 1,
            Event::Tag(_, Type::End, _) => depth -= 1,
            Event::Error(error) => panic!("{error}"),
            _ => {}
        }
    }
    assert_eq!((members, depth), (6, 0), "{text}");
}

#[test]
fn more_dead_than_there_can_be_are_refused_in_one_line() {
    let (code, _, err) = output(["devnet", "--rain", "--members", "3", "--kill", "3"]);
    assert_eq!(code, 2, "{err}");
    assert_eq!(
        err,
        "samanea: --kill 3: of 3 members 2 can be killed, as one broadcasts\n"
    );
}

#[test]
fn time_that_is_up_is_a_bad_end_that_says_how_far_it_came() {
    let args = ["devnet", "--rain", "--members", "3", "--timeout", "0"];
    let (code, out, err) = output(args);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        err.contains("not all members were linked within 0 s"),
        "{err}"
    );
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn a_key_is_made_once_told_and_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    for (name, form) in [("a.pem", None), ("b.hex", Some("--hex"))] {
        let file = dir.path().join(name);
        let file = file.to_str().unwrap();
        let (code, made, err) = output(["gossip-key", file].into_iter().chain(form));
        assert_eq!(
            (code, err.as_str(), made.trim().len()),
            (0, "", 64),
            "{made}"
        );
        let before = fs::read(file).unwrap();
        let (code, out, err) = output(["gossip-key", file]);
        assert_eq!(
            (code, out.as_str(), err.lines().count()),
            (2, "", 1),
            "{err}"
        );
        assert!(err.contains(name), "{err}");
        assert_eq!(fs::read(file).unwrap(), before);
        let (code, shown, err) = output(["gossip-key", file, "--show"]);
        assert_eq!((code, err.as_str(), shown), (0, "", made));
    }
}

#[test]
fn a_node_with_a_key_tells_numbers_of_gossip_and_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("member.pem");
    let file = file.to_str().unwrap();
    let (_, member, _) = output(["gossip-key", file]);
    for driver in ["tokio", "std"] {
        let metrics = ["--metrics", "127.0.0.1:0", "--driver", driver];
        let args = [["--magic", "77", "--gossip-key", file], metrics].concat();
        let mut node = Node::run(&args);
        assert!(node.said(member.trim()), "it says who it is");
        let line = node.logs("metrics");
        let addr = &line[line.find("127.0.0.1:").unwrap()..];
        let addr: String = addr
            .chars()
            .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
            .collect();
        let text = scrape(&addr);
        for name in [
            "payloads_total",
            "by_chain_total",
            "members_wanted",
            "groups",
        ] {
            assert!(
                text.contains(&format!("\nsamanea_rain_{name} 0\n")),
                "{text}"
            );
        }
        assert_eq!(node.stop("-TERM"), 0);
    }
}

fn scrape(addr: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_file_without_a_key_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("none.pem");
    let name = file.to_str().unwrap();
    let args = [
        "run",
        "--magic",
        "77",
        "--listen",
        "127.0.0.1:0",
        "--gossip-key",
        name,
    ];
    for text in [None, Some("not a key")] {
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let (code, _, err) = output(args);
        assert_eq!((code, err.lines().count()), (2, 1), "{err}");
        assert!(
            err.starts_with("samanea: --gossip-key ") && err.contains(name),
            "{err}"
        );
    }
}
