//! `marquee-subscriptions`: the service as a process of its own.

mod args;

fn main() -> std::process::ExitCode {
    marquee_process::main::<args::Args>()
}
