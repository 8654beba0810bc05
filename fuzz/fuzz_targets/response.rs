//! Any bytes against `checks/response.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/response.rs"]
mod response;

fuzz_target!(|input: &[u8]| response::check(input));
