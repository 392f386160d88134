//! `serve --faults`: a server that goes wrong as a file says.

use std::path::Path;

use test_support::{Process, Stream};

use crate::world::{MIB, PATIENCE, World, run};

/// `serve` with the faults of a file, at a port of the system's choice.
fn serve(world: &World, faults: &Path) -> std::process::Command {
    let mut command = world.command();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--faults"])
        .arg(faults);
    command
}

#[tokio::test]
async fn faults_of_a_file_happen_and_the_upload_gets_past_them() {
    let world = World::new();
    let faults = world.path("faults.json");
    let rows = r#"[{"fault": "status", "status": 503, "retry_after_s": 0, "method": "PATCH"},
                   {"fault": "cut_body", "after_bytes": 100000, "method": "PATCH"}]"#;
    std::fs::write(&faults, rows).unwrap();
    let server = Process::spawn(serve(&world, &faults)).unwrap();
    let said = server
        .wait_for_line(
            Stream::Stderr,
            |line| line.contains("the tus endpoint is "),
            PATIENCE,
        )
        .await
        .unwrap();
    let endpoint = said.split([' ', ';']).find(|word| word.starts_with("http"));
    let source = world.random_file("a.mp4", 3 * MIB);
    let ended = run(world.put_to(endpoint.unwrap(), &source))
        .await
        .expect(0);
    let reasons: Vec<_> = ended
        .events("retry")
        .iter()
        .map(|retry| retry["reason"].to_string())
        .collect();
    assert!(reasons.len() >= 2, "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("503")),
        "{reasons:?}"
    );
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_fault_that_cannot_be_read_is_told_with_its_file_and_row() {
    let world = World::new();
    let faults = world.path("faults.json");
    let rows = r#"[{"fault": "reset"}, {"fault": "fire"}]"#;
    std::fs::write(&faults, rows).unwrap();
    let ended = run(serve(&world, &faults)).await.expect(2);
    for word in ["faults.json", "row 2", "fire", "serve --help"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_file_of_faults_that_is_not_there_is_named() {
    let world = World::new();
    let ended = run(serve(&world, &world.path("no-such.json")))
        .await
        .expect(3);
    for word in ["no-such.json", "No such file", "hint:"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_rows_that_help_shows_can_be_read() {
    let world = World::new();
    let mut help = world.command();
    help.args(["serve", "--help"]);
    let ended = run(help).await.expect(0);
    let start = ended.stdout.find("[{").unwrap();
    let end = ended.stdout.rfind("}]").unwrap();
    let rows = &ended.stdout[start..end + 2];
    stream_emulator::FaultPlan::from_json(rows).unwrap();
}
