//! The cable between two machines. Where no namespaces can be made, these tests prove that the
//! reason is told, and nothing else.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use test_support::{Namespace, Process, Side, Stream, VethPair};

const PATIENCE: Duration = Duration::from_secs(20);

/// A pair, unless there can be none here.
#[expect(clippy::print_stdout, reason = "the log says which proof is missing")]
fn pair() -> Option<VethPair> {
    match Namespace::available() {
        Ok(()) => Some(VethPair::new().expect("available")),
        Err(reason) => {
            assert!(!reason.is_empty());
            println!("not proven here: {reason}");
            None
        }
    }
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-u", "-c", script]);
    command
}

/// Echoes for one client after another.
const ECHO: &str = "
import socket
listener = socket.create_server(('10.77.0.2', 7000))
print('up')
while True:
    stream, _ = listener.accept()
    while bytes := stream.recv(65536):
        stream.sendall(bytes)
";

async fn echoing(pair: &VethPair) -> Process {
    let process = Process::spawn(pair.command(Side::Right, &python(ECHO))).expect("started");
    process
        .wait_for_line(Stream::Stdout, |line| line == "up", PATIENCE)
        .await
        .expect("listening");
    process
}

#[tokio::test]
async fn programs_at_both_ends_reach_each_other() {
    let Some(pair) = pair() else { return };
    let _server = echoing(&pair).await;
    let client = python(
        "
import socket
stream = socket.create_connection(('10.77.0.2', 7000), 10)
stream.sendall(b'hello')
print(stream.recv(5), stream.getsockname()[0])
",
    );
    let client = Process::spawn(pair.command(Side::Left, &client)).expect("started");
    assert!(client.wait(PATIENCE).await.expect("ended").success());
    assert_eq!(client.lines(Stream::Stdout), ["b'hello' 10.77.0.1"]);
}

#[tokio::test]
async fn a_link_that_is_down_is_silent_and_lets_all_through_once_it_is_up() {
    let Some(pair) = pair() else { return };
    let _server = echoing(&pair).await;
    let client = python(
        "
import socket
stream = socket.create_connection(('10.77.0.2', 7000), 10)
print('connected')
input()
stream.sendall(b'hello')
stream.settimeout(0.3)
try:
    print(stream.recv(5))
except TimeoutError:
    print('silence')
stream.settimeout(15)
print(stream.recv(5))
",
    );
    let mut client = Process::spawn_with_stdin(pair.command(Side::Left, &client)).expect("started");
    let says = async |client: &Process, wanted: &str| {
        client
            .wait_for_line(Stream::Stdout, |line| line == wanted, PATIENCE)
            .await
            .expect("said");
    };
    says(&client, "connected").await;
    pair.set_link(Side::Right, false).expect("down");
    client.write_stdin("\n").expect("told");
    says(&client, "silence").await;
    pair.set_link(Side::Right, true).expect("up");
    says(&client, "b'hello'").await;
}

#[tokio::test]
async fn connecting_into_a_dead_cable_is_silent_too() {
    let Some(pair) = pair() else { return };
    let _server = echoing(&pair).await;
    pair.set_link(Side::Right, false).expect("down");
    // Longer than a kernel asks for an unknown neighbour before it says that there is none.
    let client = python(
        "
import socket
try:
    socket.create_connection(('10.77.0.2', 7000), 4)
except Exception as error:
    print(type(error).__name__)
",
    );
    let client = Process::spawn(pair.command(Side::Left, &client)).expect("started");
    client.wait(PATIENCE).await.expect("ended");
    assert_eq!(client.lines(Stream::Stdout), ["TimeoutError"]);
}

#[tokio::test]
async fn a_rate_holds_where_the_kernel_has_it() {
    let Some(pair) = pair() else { return };
    match pair.set_rate(Side::Left, Some(8_000_000)) {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return,
        limited => limited.expect("limited"),
    }
    let _server = echoing(&pair).await;
    let client = python(
        "
import socket, threading
stream = socket.create_connection(('10.77.0.2', 7000), 10)
threading.Thread(target=lambda: stream.sendall(bytes(1000000))).start()
heard = 0
while heard < 1000000:
    heard += len(stream.recv(65536))
",
    );
    let start = Instant::now();
    let client = Process::spawn(pair.command(Side::Left, &client)).expect("started");
    assert!(client.wait(PATIENCE).await.expect("ended").success());
    // A megabyte a second, less the burst.
    assert!(start.elapsed() >= Duration::from_millis(800));
    pair.set_rate(Side::Left, None).expect("unlimited");
}

#[tokio::test]
async fn two_pairs_do_not_clash_and_nothing_is_left_of_them() {
    let (Some(first), Some(second)) = (pair(), pair()) else {
        return;
    };
    let process = echoing(&first).await;
    let _other = echoing(&second).await;
    let names = |pair: &VethPair| {
        [Side::Left, Side::Right].map(|side| {
            let command = pair.command(side, &Command::new("true"));
            let name = command.get_args().nth(2).expect("a name");
            Path::new("/run/netns").join(name)
        })
    };
    let paths = names(&first);
    assert_ne!(paths, names(&second));
    assert!(paths.iter().all(|path| path.exists()));
    drop(first);
    assert!(!paths.iter().any(|path| path.exists()));
    // What ran inside did not survive it.
    process.wait(PATIENCE).await.expect("killed");
}
