//! Runs a null tus sink in the foreground, so that a bench can pin it to a core of its own.
//!
//! `null_sink [--port PORT] [EXTENSION...]` prints the creation URL as its first line. When
//! standard input closes, or on SIGTERM or SIGINT, it prints its counters as one line of JSON and
//! ends. Without extensions named it offers `creation` only. Start it with its input held open.

use std::io::{Read as _, Write as _};

use test_support::NullSink;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut extensions: Vec<String> = Vec::new();
    let mut port = 0;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--port" {
            port = arguments.next().ok_or("--port needs a number")?.parse()?;
        } else {
            extensions.push(argument);
        }
    }
    let mut builder = NullSink::builder().port(port);
    if !extensions.is_empty() {
        builder = builder.extensions(extensions.iter().map(String::as_str));
    }
    // Before the URL is out: whoever reads it may send a signal at once.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let sink = builder.start()?;
    let mut output = std::io::stdout();
    writeln!(output, "{}", sink.creation_url())?;
    output.flush()?;

    let (closed, input_closed) = tokio::sync::oneshot::channel::<()>();
    // A thread, not a task: the runtime would wait at its end for a task that reads.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while matches!(input.read(&mut [0; 64]), Ok(1..)) {}
        drop(closed);
    });
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
        _ = input_closed => {}
    }
    writeln!(output, "{}", sink.counters().to_json())?;
    Ok(())
}
