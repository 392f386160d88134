//! The way to a server is open before all files of a folder are found.

use std::time::Duration;

use test_support::{FakeRequest, FakeServer, Injection, NullSink, Reply, Script, Strace};

use crate::world::{World, emulator, end, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_is_asked_what_it_offers_while_the_folder_is_still_being_searched() {
    Strace::available().unwrap();
    let world = World::new();
    world.random_file("shoot/a/first.mp4", 30_000);
    let last_folder = world.path("shoot/z");
    std::fs::create_dir(&last_folder).unwrap();
    // The question puts a file into the folder that is read last, and late: only a search that goes on then can find it.
    let late = last_folder.join("late.mp4");
    let question = move |_: &FakeRequest| {
        std::fs::write(&late, vec![7; 20_000]).unwrap();
        Reply::tus(204)
            .header("Tus-Version", "1.0.0")
            .header("Tus-Extension", "creation")
    };
    let server = FakeServer::start(Script::new().always_to("OPTIONS", question));
    let server = server.await.unwrap();
    let put = world.put_to(&server.url("/files/"), &world.path("shoot"));
    let delay = Injection::delay("getdents64", Duration::from_secs(3)).nth(1);
    let traced = Strace::spawn_on(&put, &last_folder, &[delay]).unwrap();
    let ended = end(traced.process()).await.expect(0);
    assert_eq!(ended.events("finished").len(), 2, "the late one, too");
    let requests = server.requests();
    let asked = requests.iter().filter(|it| it.method == "OPTIONS").count();
    assert_eq!(asked, 1);
    assert_eq!(requests[0].method, "OPTIONS");
}

#[tokio::test]
async fn a_folder_without_videos_opens_no_connection() {
    let world = World::new();
    world.random_file("shoot/notes.txt", 100);
    let sink = NullSink::start().unwrap();
    run(world.put_to(&sink.creation_url(), &world.path("shoot")))
        .await
        .expect(3);
    assert_eq!(sink.counters().handshakes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_api_sees_no_token_before_the_first_creation() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    world.random_file("shoot/a.mp4", 30_000);
    let mut put = world.put_to_emulator(&emulator);
    put.arg(world.path("shoot"));
    run(put).await.expect(0);
    let requests = emulator.requests();
    let knocks: Vec<_> = requests
        .iter()
        .filter(|it| it.method == "OPTIONS")
        .collect();
    assert!(knocks.len() <= 1, "{knocks:?}");
    assert!(knocks.iter().all(|it| !it.authorized), "{knocks:?}");
    assert_eq!(emulator.videos().len(), 1);
}
