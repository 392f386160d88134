//! The emulator misbehaves by plan.

use http::{Method, StatusCode};
use stream_emulator::{Fault, FaultRule, FaultTarget};
use test_support::{ChaosProxy, Process, fixtures};

use crate::world::{MIB, PATIENCE, World, emulator, end, event, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_bad_gateways_on_the_resume_are_waited_out_and_nothing_is_created() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .rate_up(50 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let source = world.random_file("a.mov", 40 * MIB);
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command
            .env("STREAM_API_URL", proxy.url("/client/v4"))
            .arg(&source);
        command
    };
    let first = Process::spawn(put()).unwrap();
    event(&first, "created", PATIENCE).await;
    proxy
        .wait_until(|counters| counters.bytes_up >= 15 * MIB)
        .await;
    first.kill_9();
    first.wait(PATIENCE).await.unwrap();

    let bad = Fault::Status {
        status: StatusCode::BAD_GATEWAY,
        retry_after: None,
    };
    emulator.faults().add(
        FaultRule::new(bad)
            .on(FaultTarget::Upload)
            .method(Method::HEAD)
            .times(5),
    );
    let ended = run(put()).await.expect(0);
    assert_eq!(ended.events("retry").len(), 5);
    assert_eq!(emulator.videos().len(), 1);
    let id = ended.events("finished")[0]["media_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        emulator.sha256(&id).await.unwrap().unwrap(),
        fixtures::sha256_file(&source).unwrap()
    );
}

#[tokio::test]
async fn a_lost_answer_is_asked_about_and_its_chunk_is_not_sent_again() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 12 * MIB);
    emulator.faults().add(
        FaultRule::new(Fault::LoseAnswer)
            .method(Method::PATCH)
            .times(2),
    );
    let mut command = world.put_to_emulator(&emulator);
    command.args(["--chunk-size", "5MiB"]).arg(&source);
    let ended = run(command).await.expect(0);
    assert_eq!(ended.events("finished")[0]["bytes_sent"], 12 * MIB);
    assert_eq!(ended.events("summary")[0]["finished"], 1);
    assert_eq!(emulator.videos().len(), 1);
}

#[tokio::test]
async fn the_lost_answer_of_the_last_chunk_ends_the_upload_all_the_same() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", MIB);
    emulator
        .faults()
        .add(FaultRule::new(Fault::LoseAnswer).method(Method::PATCH));
    let mut command = world.put_to_emulator(&emulator);
    command.arg(&source);
    let ended = run(command).await.expect(0);
    assert_eq!(ended.events("finished")[0]["bytes_sent"], MIB);
    let patches = emulator
        .requests()
        .iter()
        .filter(|request| request.method == "PATCH")
        .count();
    assert_eq!(patches, 1);
}

#[tokio::test]
async fn an_announced_wait_is_kept_by_every_upload() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    for index in 0..4 {
        world.random_file(&format!("shoot/{index}.mp4"), 1_000);
    }
    let wait = std::time::Duration::from_secs(2);
    let busy = Fault::Status {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(wait.into()),
    };
    emulator
        .faults()
        .add(FaultRule::new(busy).on(FaultTarget::Creation));
    let mut command = world.put_to_emulator(&emulator);
    command.args(["--parallel", "1"]).arg(world.path("shoot"));
    let ended = run(command).await.expect(0);
    assert_eq!(ended.events("finished").len(), 4);
    let requests = emulator.requests();
    let refused = requests
        .iter()
        .find(|request| request.status == Some(429))
        .unwrap();
    let next = requests
        .iter()
        .find(|request| request.began > refused.began)
        .unwrap();
    assert!(
        next.began - refused.began >= wait,
        "{:?}",
        next.began - refused.began
    );
}

#[tokio::test]
async fn resets_in_the_middle_of_chunks_never_lose_or_mix_a_byte() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let proxy = ChaosProxy::builder(emulator.addr())
        .seed(7)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    proxy.reset_every(3 * MIB, MIB);
    let source = world.random_file("a.mov", 30 * MIB);
    let mut command = world.put_to_emulator(&emulator);
    command
        .env("STREAM_API_URL", proxy.url("/client/v4"))
        .arg(&source);
    let process = Process::spawn(command).unwrap();
    let ended = end(&process).await.expect(0);
    assert!(proxy.counters().resets >= 5, "{:?}", proxy.counters());
    assert_eq!(emulator.videos().len(), 1);
    let id = ended.events("finished")[0]["media_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        emulator.sha256(&id).await.unwrap().unwrap(),
        fixtures::sha256_file(&source).unwrap()
    );
}
