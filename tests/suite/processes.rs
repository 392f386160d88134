//! Signals, and more than one process.

use test_support::{ChaosProxy, Process};

use crate::world::{MIB, PATIENCE, RESEND_BOUND, World, emulator, end, event, run};

/// A slow upload that is under way, and what it takes to run it again.
async fn under_way(
    world: &World,
    emulator: &stream_emulator::EmulatorHandle,
) -> (Process, ChaosProxy) {
    let proxy = ChaosProxy::builder(emulator.addr())
        .rate_up(20 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let source = world.random_file("a.mov", 30 * MIB);
    let process = Process::spawn(world.put_to(&proxy.url("/files/"), &source)).unwrap();
    event(&process, "created", PATIENCE).await;
    proxy
        .wait_until(|counters| counters.bytes_up >= 10 * MIB)
        .await;
    (process, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_stops_it_resumably_with_its_own_code() {
    type Send = fn(&Process);
    let signals: [(Send, i32); 2] = [(Process::sigint, 130), (Process::sigterm, 143)];
    for (signal, code) in signals {
        let world = World::new();
        let emulator = emulator().start().await.unwrap();
        let (process, proxy) = under_way(&world, &emulator).await;
        signal(&process);
        let ended = end(&process).await.expect(code);
        assert!(
            ended.stderr.contains("run the same command again"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.events("failed")[0]["resumable"], true);

        let again = run(world.put_to(&proxy.url("/files/"), &world.path("a.mov")))
            .await
            .expect(0);
        assert!(again.events("resumed")[0]["offset"].as_u64().unwrap() > 0);
        assert!(proxy.counters().bytes_up <= 30 * MIB + RESEND_BOUND);
        assert_eq!(emulator.uploads().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_another_process_is_left_to_it_and_the_holder_is_named() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let (process, proxy) = under_way(&world, &emulator).await;
    let second = run(world.put_to(&proxy.url("/files/"), &world.path("a.mov")))
        .await
        .expect(8);
    assert_eq!(second.events("skipped")[0]["reason"], "busy");
    let mut shown = world.put_to(&proxy.url("/files/"), &world.path("a.mov"));
    shown = {
        // The same without --json: people read the holder's name.
        let mut plain = world.command();
        plain.args(shown.get_args().filter(|arg| *arg != "--json"));
        plain
    };
    let told = run(shown).await.expect(8);
    assert!(
        told.stderr.contains(&process.id().to_string()),
        "{}",
        told.stderr
    );
    end(&process).await.expect(0);
    assert_eq!(emulator.uploads().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_a_state_folder_and_send_each_file_once() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    for index in 0..30 {
        world.random_file(&format!("shoot/{index}.mp4"), 50_000);
    }
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(world.path("shoot"));
        Process::spawn(command).unwrap()
    };
    let (one, two) = (put(), put());
    let ended = [end(&one).await, end(&two).await];
    let finished: usize = ended
        .iter()
        .map(|ended| ended.events("finished").len())
        .sum();
    assert_eq!(finished, 30, "{ended:?}");
    assert_eq!(emulator.videos().len(), 30);
}

#[tokio::test]
async fn a_closed_stdout_does_not_stop_an_upload() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", MIB);
    let command = world.put_to(&emulator.tus_url(), &source);
    // `true` reads nothing and is gone at once.
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "\"$0\" \"$@\" | true"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    run(shell).await.expect(0);
    assert!(emulator.uploads()[0].complete);
}
