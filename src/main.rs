//! Arguments, command, exit status.
#![forbid(unsafe_code)]

use std::{io::Write, process::ExitCode};

use billdrop::{
    cli::Cli,
    command,
    exit::{Error, Exit},
};
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    command::start_log(&cli);
    match command::run(&cli) {
        Ok(()) => ExitCode::from(Exit::Done.code()),
        Err(e) => {
            report(&cli, &e);
            ExitCode::from(e.exit().code())
        }
    }
}

/// Help and version end well; everything else is EX_USAGE, which is not clap's own number.
fn usage(e: &clap::Error) -> ExitCode {
    let _ = e.print();
    let exit = if e.use_stderr() { Exit::Usage } else { Exit::Done };
    ExitCode::from(exit.code())
}

/// One message on standard error. A blocked capture is the remote application's ordinary business: silent with `-q`.
fn report(cli: &Cli, e: &Error) {
    let silent = cli.quiet && e.exit() == Exit::Blocked;
    if !e.is_already_told() && !silent {
        match cli.log_format {
            billdrop::cli::LogFormat::Json => tracing::error!(status = e.exit().code(), "{e}"),
            billdrop::cli::LogFormat::Text => {
                let _ = std::io::stderr().write_all(format!("billdrop: {e}\n").as_bytes());
            }
        }
    }
}
