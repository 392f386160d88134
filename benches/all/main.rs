//! Every benchmark, by name: the real binary, beside its peers and beside the least that any client can do, on the same
//! machine in the same minute. The definitions, the method and its limits: `benches/README.md`.
//!
//! Without a name this process runs each benchmark as a process of its own, collects their figures, and tells all of them at the
//! end; so that none inherits another's memory, and a broken one cannot take the others along.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "every bench compiles the whole of it and uses its own part"
)]
mod support;

mod b01_single;
mod b02_tls;
mod b03_counts;
mod b04_memory;
mod b05_small_files;
mod b06_many;
mod b07_gap;
mod b08_resume;
mod b09_start;
mod b10_state;
mod b11_checksum;
mod b12_observe;
mod b13_lossy;
mod b14_server;
mod link;
mod scale;
mod svg;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::Value;

use support::{Failure, Options, say};

/// What one is called and is about, and whether the short set has it.
const BENCHES: [(&str, &str, bool); 17] = [
    ("b1", "one file over plain HTTP", true),
    ("b2", "one file over TLS 1.3", false),
    ("b3", "system calls, instructions, allocations", true),
    ("b4", "memory", true),
    ("b5", "many small files", false),
    ("b6", "many files over a long fat link", false),
    ("b7", "the gap between chunks", false),
    ("b8", "resume after a kill", false),
    ("b9", "cold start", true),
    ("b10", "what keeping state costs", true),
    ("b11", "what digests cost", false),
    ("b12", "what being observed costs", true),
    ("b13", "a link that breaks", false),
    ("b14", "our server", false),
    (
        "link",
        "one file over a long fat link, with loss and without",
        false,
    ),
    ("scale", "cost grows with the work and no faster", false),
    ("codec", "the machines of the protocol", false),
];

fn main() -> ExitCode {
    if let Some(played) = support::played_role() {
        return match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                say(format_args!("floor: {failure}"));
                ExitCode::FAILURE
            }
        };
    }
    let options = Options::from_args();
    if !options.bench {
        say(format_args!("all: nothing measured without --bench"));
        return ExitCode::SUCCESS;
    }
    let known = |name: &String| BENCHES.iter().any(|(known, ..)| known == name);
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        say(format_args!("there is no benchmark {unknown}; there are:"));
        for (name, about, _) in BENCHES {
            say(format_args!("  {name:<6} {about}"));
        }
        return ExitCode::FAILURE;
    }
    if let [name] = names.as_slice()
        && std::env::args().any(|argument| argument == "--child")
    {
        return one(name, options);
    }
    match several(&names, options) {
        Ok(code) => code,
        Err(failure) => {
            say(format_args!("all FAILED: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs one benchmark in this process.
fn one(name: &str, options: Options) -> ExitCode {
    use support::measure;
    let measured = match name {
        "b1" => measure("b1", options, b01_single::bench),
        "b2" => measure("b2", options, b02_tls::bench),
        "b3" => measure("b3", options, b03_counts::bench),
        "b4" => measure("b4", options, b04_memory::bench),
        "b5" => measure("b5", options, b05_small_files::bench),
        "b6" => measure("b6", options, b06_many::bench),
        "b7" => measure("b7", options, b07_gap::bench),
        "b8" => measure("b8", options, b08_resume::bench),
        "b9" => measure("b9", options, b09_start::bench),
        "b10" => measure("b10", options, b10_state::bench),
        "b11" => measure("b11", options, b11_checksum::bench),
        "b12" => measure("b12", options, b12_observe::bench),
        "b13" => measure("b13", options, b13_lossy::bench),
        "b14" => measure("b14", options, b14_server::bench),
        "link" => measure("link", options, link::bench),
        "scale" => measure("scale", options, scale::bench),
        other => Err(format!("{other} is not run in a process of this bench").into()),
    };
    match measured {
        Ok(_) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("{name} FAILED, no verdict: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs these, or all of the set, each in a process of its own, and tells the figures of all.
fn several(names: &[String], options: Options) -> Result<ExitCode, Failure> {
    let chosen = |name: &str, short: bool| {
        if names.is_empty() {
            short || !options.short
        } else {
            names.iter().any(|wanted| wanted == name)
        }
    };
    let started = Instant::now();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for (name, about, short) in BENCHES {
        if !chosen(name, short) {
            continue;
        }
        say(format_args!("\n== {name}: {about}"));
        let begun = Instant::now();
        let (figures, well) = child(name, options)?;
        lines.extend(figures);
        if !well {
            failed.push(name);
        }
        say(format_args!(
            "   {name} took {:.0} s",
            begun.elapsed().as_secs_f64()
        ));
    }
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    say(format_args!("\n== all figures, after {minutes:.1} minutes"));
    support::table(&lines);
    if let Some(folder) = svg_folder() {
        svg::draw(&lines, &folder)?;
    }
    if !failed.is_empty() {
        say(format_args!("FAILED, no verdict: {}", failed.join(", ")));
        return Ok(ExitCode::FAILURE);
    }
    if options.gate && support::missed(&lines) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one benchmark, passes its lines on, and returns its figures and whether it came to an end.
fn child(name: &str, options: Options) -> Result<(Vec<Value>, bool), Failure> {
    let mut command = if name == "codec" {
        // A bench of its own: it counts every allocation, which would slow the others down.
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["bench", "--quiet", "--bench", "codec", "--"]);
        command
    } else {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([name, "--bench", "--child"]);
        command
    };
    if options.short {
        command.arg("--short");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut figures = Vec::new();
    let output = child.stdout.take().ok_or("a child has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        writeln!(std::io::stdout(), "{line}")?;
        if let Ok(figure) = serde_json::from_str(&line) {
            figures.push(figure);
        }
    }
    Ok((figures, child.wait()?.success()))
}

/// The folder that `--svg=DIR` names.
fn svg_folder() -> Option<PathBuf> {
    std::env::args().find_map(|argument| argument.strip_prefix("--svg=").map(PathBuf::from))
}
