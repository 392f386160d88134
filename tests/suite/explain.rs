//! What a code means, asked of the real binary; and what else it tells of itself: man pages, completions.

use std::path::Path;

use serde_json::Value;

use crate::world::{Ended, World, run};

async fn tell(args: &[&str], code: i32) -> Ended {
    let world = World::new();
    let mut command = world.command();
    command.args(args);
    run(command).await.expect(code)
}

#[track_caller]
fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
}

#[tokio::test]
async fn each_kind_of_code_is_explained_with_cause_and_remedy() {
    for (code, words) in [
        ("8", ["exit code 8 (busy)", "another process"]),
        ("413", ["HTTP status 413: too large", "send smaller chunks"]),
        ("10011", ["Stream's code 10011 (HTTP 413)", "storage"]),
        ("ERR_NON_VIDEO", ["ERR_NON_VIDEO", "not a video"]),
        ("busy", ["exit code 8 (busy)", "state list --unfinished"]),
        ("already-uploaded", ["word already-uploaded", "--force-new"]),
    ] {
        let ended = tell(&["explain", code], 0).await;
        has(&ended.stdout, &words);
        has(&ended.stdout, &["cause:", "remedy:", "again:"]);
    }
}

#[tokio::test]
async fn words_are_known_however_they_are_written() {
    let ended = tell(&["explain", "err-non-video"], 0).await;
    has(&ended.stdout, &["ERR_NON_VIDEO"]);
    let ended = tell(&["explain", "Source_Changed"], 0).await;
    has(&ended.stdout, &["exit code 7"]);
}

#[tokio::test]
async fn a_word_of_two_codes_explains_both() {
    let ended = tell(&["explain", "interrupted"], 0).await;
    has(&ended.stdout, &["exit code 130", "exit code 143"]);
}

#[tokio::test]
async fn an_unknown_code_is_a_usage_error_that_names_the_nearest() {
    let ended = tell(&["explain", "411"], 2).await;
    has(
        &ended.stderr,
        &["nothing is known of 411", "hint:", "410", "412"],
    );
    let ended = tell(&["explain", "crednetials"], 2).await;
    has(&ended.stderr, &["hint:", "credentials"]);
}

#[tokio::test]
async fn without_a_code_all_are_listed() {
    let ended = tell(&["explain"], 0).await;
    has(
        &ended.stdout,
        &[
            "Exit codes:",
            "HTTP statuses:",
            "10059",
            "ERR_MALFORMED_VIDEO",
            "possible-orphan",
        ],
    );
}

#[tokio::test]
async fn machines_get_a_line_for_each_code() {
    let ended = tell(&["explain", "--json"], 0).await;
    let rows = ended.events("explanation");
    let find = |code: &Value| rows.iter().find(|row| row["code"] == *code).unwrap();
    assert_eq!(find(&8.into())["word"], "busy");
    assert_eq!(find(&10011.into())["status"], 413);
    assert_eq!(find(&"ERR_NON_VIDEO".into())["kind"], "stream-reason");
    assert_eq!(find(&429.into())["again"], "yes");
    assert_eq!(rows.len(), ended.stdout.lines().count());
}

#[tokio::test]
async fn the_man_page_names_every_verb_and_each_verb_has_its_own() {
    let ended = tell(&["man"], 0).await;
    has(&ended.stdout, &[".TH stream-upload", "explain", "state"]);

    let world = World::new();
    let folder = world.path("man1");
    let mut command = world.command();
    command.args(["man", "--dir"]).arg(&folder);
    run(command).await.expect(0);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    has(&page("stream-upload.1"), &["put"]);
    has(&page("stream-upload-put.1"), &["chunk\\-size", "Examples"]);
    has(&page("stream-upload-state-list.1"), &["unfinished"]);
}

#[tokio::test]
async fn a_folder_for_man_pages_that_cannot_be_made_is_named() {
    let world = World::new();
    let file = world.random_file("file", 1);
    let mut command = world.command();
    command.args(["man", "--dir"]).arg(file.join("man1"));
    let ended = run(command).await.expect(3);
    let folder = Path::new("file").join("man1");
    has(&ended.stderr, &[folder.to_str().unwrap(), "--dir"]);
}

#[tokio::test]
async fn completions_know_the_verbs_and_their_options() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = tell(&["completions", shell], 0).await;
        has(&ended.stdout, &["explain", "older-than", "faults"]);
    }
}
