//! The same program with fail points: `WAXWING_FAIL=<times>@<name>` has it end at a place as if it were killed, the
//! so-many-th time that it comes there. `WAXWING_FAIL=list` names the places.

#[path = "main.rs"]
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("WAXWING_FAIL").is_some_and(|wish| wish == "list") {
        waxwing_core::fail_points().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    program::main()
}
