//! Section B: what servers answer.

mod ends;
mod hostile;
mod offsets;
mod places;
mod refusals;
mod waits;

use std::path::PathBuf;
use std::process::Command;

use http::{Method, StatusCode};
use stream_emulator::{EmulatorBuilder, EmulatorHandle, Fault, FaultRule, RequestRecord};
use test_support::{FakeRequest, FakeServer, Reply, Script};

use crate::proof::{Proof, TOKEN};
use crate::row::Row;
use crate::world::{Ended, MIB, World, emulator};

/// The smallest chunk that Stream takes.
const CHUNK: u64 = 5 * MIB;

/// F25 to F48.
pub(crate) fn rows() -> Vec<Row> {
    [
        waits::rows(),
        offsets::rows(),
        refusals::rows(),
        places::rows(),
        hostile::rows(),
        ends::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An emulator, and one file for it.
struct Bench {
    world: World,
    emulator: EmulatorHandle,
    source: PathBuf,
}

impl Bench {
    async fn with(bytes: u64) -> Self {
        Self::of(emulator(), bytes).await
    }

    async fn of(emulator: EmulatorBuilder, bytes: u64) -> Self {
        let world = World::new();
        let emulator = emulator.token(TOKEN).start().await.unwrap();
        let source = world.random_file("a.mov", bytes);
        Self {
            world,
            emulator,
            source,
        }
    }

    /// `put` of the file to the account, in the smallest chunks.
    fn put(&self) -> Command {
        let mut command = self.world.put_to_emulator(&self.emulator);
        command.args(["--chunk-size", "5MiB"]).arg(&self.source);
        command
    }

    /// `put` of the file to the emulator as a plain tus server.
    fn put_plain(&self) -> Command {
        self.world.put_to(&self.emulator.tus_url(), &self.source)
    }

    /// One fault for requests with `method`, after `skip` of them, so many `times`.
    fn fault(&self, fault: Fault, method: Method, skip: u64, times: u64) {
        let rule = FaultRule::new(fault).method(method).skip(skip).times(times);
        self.emulator.faults().add(rule);
    }

    fn requests(&self, method: &str) -> Vec<RequestRecord> {
        let mut requests = self.emulator.requests();
        requests.retain(|request| request.method == method);
        requests
    }

    /// What has to hold after every fault, once all of them are over.
    async fn prove(&self, again: Command, said: &[&Ended]) {
        self.prove_all(std::slice::from_ref(&self.source), again, said)
            .await;
    }

    async fn prove_all(&self, sources: &[PathBuf], again: Command, said: &[&Ended]) {
        let proof = Proof {
            world: &self.world,
            emulator: &self.emulator,
            sources,
            said,
        };
        proof.hold(again).await;
    }
}

fn status(status: u16) -> Fault {
    Fault::Status {
        status: StatusCode::from_u16(status).unwrap(),
        retry_after: None,
    }
}

/// A server that lies by script, with a small file for it; nothing is proven of the content, for it keeps none.
struct Liar {
    world: World,
    server: FakeServer,
    source: PathBuf,
}

impl Liar {
    async fn with(script: Script, bytes: u64) -> Self {
        let world = World::new();
        let server = FakeServer::start(script).await.unwrap();
        let source = world.random_file("a.mov", bytes);
        Self {
            world,
            server,
            source,
        }
    }

    fn put(&self) -> Command {
        self.world.put_to(&self.server.url("/files/"), &self.source)
    }

    /// `put` as if it were the account.
    fn put_to_account(&self) -> Command {
        let mut command = self.world.command();
        command
            .env("STREAM_API_URL", self.server.url("/client/v4"))
            .env("STREAM_API_TOKEN", TOKEN)
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["put", "--json"])
            .arg(&self.source);
        command
    }

    fn requests(&self, method: &str) -> Vec<FakeRequest> {
        let mut requests = self.server.requests();
        requests.retain(|request| request.method == method);
        requests
    }
}

/// A tus server without extensions: bytes go with PATCH only.
fn bare() -> Script {
    Script::new().always_to("OPTIONS", Reply::tus(204).header("Tus-Version", "1.0.0"))
}

/// A number in a header of a request; 0 if there is none.
fn number(request: &FakeRequest, header: &str) -> u64 {
    let value = request.header(header).and_then(|value| value.parse().ok());
    value.unwrap_or(0)
}

/// The answer to a PATCH of which everything is taken.
fn take_all(request: &FakeRequest) -> Reply {
    let end = number(request, "Upload-Offset") + number(request, "Content-Length");
    Reply::tus(204).header("Upload-Offset", end.to_string())
}

/// The one event of this name.
#[track_caller]
fn only(ended: &Ended, event: &str) -> serde_json::Value {
    let mut events = ended.events(event);
    assert_eq!(events.len(), 1, "{event} in:\n{}", ended.stdout);
    events.remove(0)
}

/// The one failure, whose message has all these words.
#[track_caller]
fn failure(ended: &Ended, words: &[&str]) -> serde_json::Value {
    let failed = only(ended, "failed");
    let error = failed["error"].as_str().unwrap();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error:?}");
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    failed
}
