//! The `portcullis` command.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

// The reason is beside the dependency.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
