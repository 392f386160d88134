//! The link between two machines far apart. Where none can be made, these tests prove that the reason is told, and nothing else.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use test_support::{Link, LinkPlan, NullSink, Side};

/// Creates an upload over the link and says how long that took from the first packet on.
fn created(link: &Link, sink: &NullSink) -> Duration {
    let sent = link.namespace(Side::Left).enter(|| {
        let started = Instant::now();
        let mut stream = TcpStream::connect(sink.addr())?;
        let head = "POST /files/ HTTP/1.1\r\nHost: a\r\nTus-Resumable: 1.0.0\r\n\
                    Upload-Length: 1\r\nContent-Length: 0\r\n\r\n";
        std::io::Write::write_all(&mut stream, head.as_bytes())?;
        let read = std::io::Read::read(&mut stream, &mut [0; 1024])?;
        assert!(read > 0, "an answer came");
        Ok(started.elapsed())
    });
    sent.expect("reached the other end")
}

#[test]
fn a_request_over_a_link_takes_a_handshake_and_a_round_trip() {
    let plan = LinkPlan::round_trip(Duration::from_millis(60));
    let link = match Link::new(plan) {
        Ok(link) => link,
        Err(reason) => {
            assert!(Link::available().is_err(), "{reason}");
            return println!("not proven here: {reason}");
        }
    };
    let start = NullSink::builder().start_in(link.namespace(Side::Right));
    let sink = start.expect("started at the other end");
    let took = created(&link, &sink);
    assert!(
        took >= Duration::from_millis(120),
        "two round trips: {took:?}"
    );
    assert_eq!(sink.counters().posts, 1);
    drop(sink);
    drop(link);
}
