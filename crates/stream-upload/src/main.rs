//! The `stream-upload` command.

fn main() -> std::process::ExitCode {
    stream_upload::cli::run()
}
