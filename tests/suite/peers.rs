//! Against three real tus servers, which we did not write: whatever each of them offers, and no more than that.
//!
//! Longer outages, and many kills in a row, are in `interop`.

use std::path::Path;
use std::process::Command;

use stream_upload::http_transport::{Body, Protocol, ReqwestTransport, Transport};
use test_support::peers::{CargoTus, NodeTus, Peer, PeerServer, PythonTus};
use test_support::{ChaosProxy, Direction, Process, fixtures};

use crate::world::{Ended, MIB, PATIENCE, RESEND_BOUND, World, event, fed, run};

/// Slow enough to be caught in the middle, fast enough to end soon.
const RATE: u64 = 50 * MIB;

/// Heads of requests, which the proxy counts, too.
const HEADS: u64 = MIB / 4;

/// Each scenario, by name, against one server.
macro_rules! against {
    ($server:ident: $product:ty; $($scenario:ident,)+) => {
        mod $server {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(Bench::<$product>::new().await).await;
            })+
        }
    };
}

against! { node: NodeTus;
    what_it_offers_is_known,
    a_file_arrives_byte_for_byte,
    a_small_file_goes_in_one_request,
    an_empty_file_is_there,
    stdin_of_unknown_length_is_streamed,
    a_killed_run_is_gone_on_with,
    an_unfinished_upload_is_terminated_before_a_new_one,
    parts_that_nobody_joins_are_not_made,
}

against! { python: PythonTus;
    what_it_offers_is_known,
    a_file_arrives_byte_for_byte,
    a_small_file_goes_in_one_request,
    an_empty_file_is_there,
    stdin_of_unknown_length_is_streamed,
    a_killed_run_is_gone_on_with,
    an_unfinished_upload_is_terminated_before_a_new_one,
    parts_are_joined_and_gone,
    parts_of_a_killed_run_are_gone_on_with,
}

against! { the_crate: CargoTus;
    what_it_offers_is_known,
    a_file_arrives_byte_for_byte,
    a_small_file_goes_in_one_request,
    an_empty_file_is_there,
    stdin_of_unknown_length_is_streamed,
    a_killed_run_is_gone_on_with,
    an_unfinished_upload_is_terminated_before_a_new_one,
    a_byte_that_flips_on_its_way_is_noticed_and_mended,
    parts_are_joined_and_gone,
    parts_of_a_killed_run_are_gone_on_with,
}

/// What a product says in its answer to OPTIONS.
trait Offers {
    const EXTENSIONS: &str;
    const CHECKSUMS: &str = "";
}

impl Offers for NodeTus {
    const EXTENSIONS: &str =
        "creation,creation-with-upload,creation-defer-length,termination,expiration";
}

impl Offers for PythonTus {
    const EXTENSIONS: &str =
        "creation,creation-defer-length,creation-with-upload,expiration,termination,concatenation";
}

impl Offers for CargoTus {
    const EXTENSIONS: &str = "checksum,checksum-trailer,concatenation,concatenation-unfinished,creation,\
         creation-defer-length,creation-with-upload,expiration,termination";
    const CHECKSUMS: &str = "crc32,md5,sha1,sha256";
}

/// One server, a proxy before it, and a place for sources.
struct Bench<P> {
    world: World,
    server: PeerServer<P>,
    proxy: ChaosProxy,
}

impl<P: Peer> Bench<P> {
    async fn new() -> Self {
        let world = World::new();
        let server = PeerServer::start(world.path("server")).await.unwrap();
        let proxy = ChaosProxy::builder(server.addr())
            .rate_up(RATE)
            .patience(PATIENCE)
            .start()
            .await
            .unwrap();
        Self {
            world,
            server,
            proxy,
        }
    }

    /// `put` through the proxy.
    fn put(&self, source: &Path, options: &[&str]) -> Command {
        let endpoint = self.proxy.url(P::CREATION_PATH);
        let mut command = self.world.put_to(&endpoint, source);
        command.args(options);
        command
    }

    /// Runs `put` and kills it (SIGKILL) once the server was sent so many bytes.
    async fn put_killed_after(&self, bytes: u64, source: &Path, options: &[&str]) {
        let run = Process::spawn(self.put(source, options)).unwrap();
        event(&run, "started", PATIENCE).await;
        self.proxy
            .wait_until(|counters| counters.bytes_up >= bytes)
            .await;
        run.kill_9();
        let ended = run.wait(PATIENCE).await.unwrap();
        assert_eq!(ended.code(), None, "it was still running");
    }

    /// The server has one upload and nothing else, and it is the source.
    fn assert_stored_once(&self, source: &Path) {
        let stored = self.server.stored_files().unwrap();
        let [file] = &stored[..] else {
            panic!("one upload, not {stored:?}")
        };
        assert_eq!(
            fixtures::sha256_file(&file.path).unwrap(),
            fixtures::sha256_file(source).unwrap(),
            "{file:?} is not the source"
        );
    }

    /// The server was sent no more than the source and `surplus` bytes.
    fn assert_sent_within(&self, source: &Path, surplus: u64) {
        let size = source.metadata().unwrap().len();
        let sent = self.proxy.counters().bytes_up;
        let most = size + surplus + HEADS;
        assert!(sent <= most, "{sent} bytes for {size}, at most {most}");
    }
}

fn requests(ended: &Ended) -> u64 {
    ended.events("finished")[0]["requests"].as_u64().unwrap()
}

async fn what_it_offers_is_known<P: Peer + Offers>(bench: Bench<P>) {
    let request = http::Request::options(bench.server.creation_url())
        .header("tus-resumable", "1.0.0")
        .body(Body::Empty)
        .unwrap();
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    let answer = transport.send(request).await.unwrap();
    let said = |name| {
        let value = answer.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    };
    assert_eq!(said("tus-extension"), P::EXTENSIONS);
    assert_eq!(said("tus-checksum-algorithm"), P::CHECKSUMS);
}

async fn a_file_arrives_byte_for_byte<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 20 * MIB);
    run(bench.put(&source, &[])).await.expect(0);
    bench.assert_stored_once(&source);
    bench.assert_sent_within(&source, 0);
}

async fn a_small_file_goes_in_one_request<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 1024);
    let ended = run(bench.put(&source, &[])).await.expect(0);
    bench.assert_stored_once(&source);
    assert_eq!(requests(&ended), 2, "OPTIONS, and POST with the bytes");
}

async fn an_empty_file_is_there<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 0);
    let ended = run(bench.put(&source, &[])).await.expect(0);
    assert_eq!(ended.events("finished")[0]["length"], 0);
    let stored = bench.server.stored_files().unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].length, 0);
}

async fn stdin_of_unknown_length_is_streamed<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 9 * MIB + 5);
    let put = bench.put(Path::new("-"), &["--name", "x.mov", "--chunk-size", "4MiB"]);
    let ended = run(fed(&put, &source)).await.expect(0);
    assert!(!ended.stderr.contains("private file"), "{}", ended.stderr);
    bench.assert_stored_once(&source);
}

async fn a_killed_run_is_gone_on_with<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 96 * MIB);
    // What is kept may be far into a long chunk; what is dropped is the chunk, which had better be short.
    let (options, bound): (&[_], _) = if P::KEEPS_BROKEN_PATCH {
        (&[], RESEND_BOUND)
    } else {
        (&["--chunk-size", "5MiB"], 5 * MIB)
    };
    bench.put_killed_after(40 * MIB, &source, options).await;
    let ended = run(bench.put(&source, options)).await.expect(0);
    assert_eq!(ended.events("resumed").len(), 1);
    bench.assert_stored_once(&source);
    bench.assert_sent_within(&source, bound);
}

async fn an_unfinished_upload_is_terminated_before_a_new_one<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 30 * MIB);
    bench.put_killed_after(10 * MIB, &source, &[]).await;
    let unfinished = bench.server.stored_files().unwrap();
    assert_eq!(unfinished.len(), 1);
    let ended = run(bench.put(&source, &["--no-resume"])).await.expect(0);
    assert!(ended.events("resumed").is_empty());
    bench.assert_stored_once(&source);
    assert_ne!(
        bench.server.stored_files().unwrap()[0].path,
        unfinished[0].path
    );
}

async fn a_byte_that_flips_on_its_way_is_noticed_and_mended<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 20 * MIB);
    bench.proxy.flip_byte(Direction::Up, 12 * MIB);
    let options = ["--checksum", "sha1", "--chunk-size", "5MiB"];
    let ended = run(bench.put(&source, &options)).await.expect(0);
    let sent = &ended.events("finished")[0]["bytes_sent"];
    assert_eq!(*sent, 25 * MIB, "one chunk twice");
    bench.assert_stored_once(&source);
    bench.assert_sent_within(&source, 5 * MIB);
}

async fn parts_are_joined_and_gone<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 64 * MIB);
    let ended = run(bench.put(&source, &["--parts", "4"])).await.expect(0);
    assert!(ended.events("parts-not-offered").is_empty());
    bench.assert_stored_once(&source);
    bench.assert_sent_within(&source, 0);
}

async fn parts_of_a_killed_run_are_gone_on_with<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 64 * MIB);
    // Short chunks: a single part begun anew would cost more than all four may.
    let options = ["--parts", "4", "--chunk-size", "1MiB"];
    // The first four are under way, and none is being created: of that nothing would be known for certain.
    bench.put_killed_after(16 * MIB, &source, &options).await;
    assert_eq!(bench.server.stored_files().unwrap().len(), 4);
    run(bench.put(&source, &options)).await.expect(0);
    bench.assert_stored_once(&source);
    bench.assert_sent_within(&source, 4 * MIB);
}

async fn parts_that_nobody_joins_are_not_made<P: Peer>(bench: Bench<P>) {
    let source = bench.world.random_file("a.mov", 20 * MIB);
    let ended = run(bench.put(&source, &["--parts", "4"])).await.expect(0);
    assert_eq!(ended.events("parts-not-offered").len(), 1);
    bench.assert_stored_once(&source);
}
