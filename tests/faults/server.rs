//! Section F: the local server, `serve`, in a process of its own.

mod corpus;
mod crowd;
mod ends;
mod holder;
mod killed;
mod lengths;
mod space;
mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use test_support::{Checker, Process, Stream};

use crate::proof::TOKEN;
use crate::row::{Row, row};
use crate::world::{PATIENCE, World};

/// F71 to F80.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(
            "F71",
            "connections that dribble are closed and slow nobody down",
            "500 connections that send a byte of a head each second",
            crowd::slowloris
        ),
        row!(
            "F72",
            "no path leads out of the data folder",
            "a corpus of ids and file names",
            corpus::paths
        ),
        row!(
            "F73",
            "of two writers one wins and a question frees a stale one",
            "two PATCH at once; HEAD while a PATCH hangs",
            holder::two_writers
        ),
        row!(
            "F74",
            "every byte that was read before a break is kept",
            "TCP resets amid PATCH bodies (proxy)",
            holder::broken_bodies
        ),
        row!(
            "F75",
            "a full disk is told and the offset stays honest",
            "tmpfs of 40 MiB that is nearly full",
            space::full
        ),
        row!(
            "F76",
            "a killed server never claims bytes that it has not",
            "kill -9 of the server, again and again, amid an upload",
            killed::again_and_again
        )
        .within(killed::bound()),
        row!(
            "F77",
            "lengths that lie and parts that are none are refused",
            "a table of requests",
            lengths::refused
        ),
        row!(
            "F78",
            "no second request hides in the body of another",
            "a table of requests, byte by byte",
            corpus::smuggling
        ),
        row!(
            "F79",
            "strangers are not served",
            "a foreign Host, a preflight of a foreign page, no token and a wrong one",
            corpus::strangers
        ),
        row!(
            "F80",
            "a server that is asked to stop loses no byte",
            "SIGTERM while 20 uploads run and one hangs",
            ends::sigterm
        ),
    ]
}

/// A running `serve`.
struct Serve {
    process: Process,
    address: SocketAddr,
}

impl Serve {
    /// `serve` with its data in `data`.
    fn command(world: &World, data: &Path) -> Command {
        let mut command = world.command();
        command
            .env("STREAM_EMULATOR_TOKEN", TOKEN)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data);
        command
    }

    async fn start(world: &World, data: &Path) -> Self {
        Self::spawn(Self::command(world, data)).await
    }

    async fn spawn(command: Command) -> Self {
        let process = Process::spawn(command).unwrap();
        let told = |line: &str| line.contains("the tus endpoint is ");
        let line = process
            .wait_for_line(Stream::Stderr, told, PATIENCE)
            .await
            .unwrap();
        let url = line
            .split([' ', ';'])
            .find_map(|word| word.strip_prefix("http://"));
        let address = url.unwrap().split('/').next().unwrap().parse().unwrap();
        Self { process, address }
    }

    /// `put` to the account, at this address of it.
    fn put(world: &World, address: SocketAddr, source: &Path) -> Command {
        let mut command = world.command();
        command
            .env("STREAM_API_URL", format!("http://{address}/client/v4"))
            .env("STREAM_API_TOKEN", TOKEN)
            .env("CLOUDFLARE_ACCOUNT_ID", "acct")
            .args(["put", "--json"])
            .arg(source);
        command
    }

    /// The judge of what it holds.
    fn checker(&self) -> Checker {
        Checker::emulator(self.address, TOKEN)
    }

    /// What `/_emulator/…` tells.
    async fn tell(&self, what: &str) -> serde_json::Value {
        let token = format!("Authorization: Bearer {TOKEN}");
        let path = format!("/_emulator/{what}");
        let request = wire::head(self.address, "GET", &path, &[&token]);
        let answer = wire::send(self.address, request.as_bytes()).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap()
    }
}

/// Where the server has an upload of the account.
fn media(uid: &str) -> String {
    format!("/client/v4/accounts/acct/media/{uid}")
}
