//! Any bytes against `checks/request.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../checks/request.rs"]
mod request;

fuzz_target!(|input: &[u8]| request::check(input));
