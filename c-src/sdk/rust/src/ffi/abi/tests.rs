//! What a C compiler and the text of the headers say.

use super::*;
use std::mem::{align_of, size_of};
use std::process::{Command, Stdio};

/// What a C compiler says of the header, in the order of [`ours`].
fn theirs() -> Vec<i64> {
    let include = concat!(env!("NFFI_LIBRARIES"), "/../include");
    let program = r#"
        #include <stddef.h>
        #include <stdio.h>
        #include <nffi_testhost.h>
        #define P(x) printf("%lld\n", (long long) (x));
        int main(void) {
            P(NFFI_ABI_VERSION) P(NFFI_OK) P(NFFI_STALE) P(NFFI_CLOSED) P(NFFI_NOT_A_PROCESS)
            P(NFFI_WOULD_BLOCK) P(NFFI_CANCELLED)
            P(NFFI_REQUEST_STREAM) P(NFFI_RESPONSE_BUFFER) P(NFFI_RESPONSE_ERROR)
            P(NFFI_TESTHOST_RESPONSE) P(NFFI_TESTHOST_ERROR) P(NFFI_TESTHOST_TIMEOUT)
            P(NFFI_TESTHOST_CANCELLED)
            P(NFFI_LOG_ERROR) P(NFFI_LOG_WARN) P(NFFI_LOG_NOTICE) P(NFFI_LOG_INFO) P(NFFI_LOG_DEBUG)
            P(sizeof(nffi_request_t)) P(_Alignof(nffi_request_t))
            P(offsetof(nffi_request_t, data)) P(offsetof(nffi_request_t, size))
            P(offsetof(nffi_request_t, method)) P(offsetof(nffi_request_t, method_size))
            P(offsetof(nffi_request_t, deadline_ns)) P(offsetof(nffi_request_t, flags))
            P(sizeof(nffi_response_t)) P(_Alignof(nffi_response_t))
            P(offsetof(nffi_response_t, data)) P(offsetof(nffi_response_t, size))
            P(offsetof(nffi_response_t, detail)) P(offsetof(nffi_response_t, detail_size))
            P(offsetof(nffi_response_t, rc)) P(offsetof(nffi_response_t, flags))
            P(offsetof(nffi_response_t, result))
            P(sizeof(nffi_testhost_response_t)) P(offsetof(nffi_testhost_response_t, rc))
            P(offsetof(nffi_testhost_response_t, data)) P(offsetof(nffi_testhost_response_t, size))
            P(offsetof(nffi_testhost_response_t, detail))
            P(offsetof(nffi_testhost_response_t, detail_size))
            return 0;
        }"#;
    let folder = std::env::temp_dir().join(format!("nffi-abi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("abi.c"), program).unwrap();
    let built = Command::new("cc")
        .args(["-I", include, "-o", "abi", "abi.c"])
        .current_dir(&folder)
        .stderr(Stdio::inherit())
        .status();
    let said = Command::new(folder.join("abi")).output();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(built.unwrap().success());
    let said = String::from_utf8(said.unwrap().stdout).unwrap();
    said.lines().map(|line| line.parse().unwrap()).collect()
}

macro_rules! offset {
    ($type:ty, $field:ident) => {{
        let value = std::mem::MaybeUninit::<$type>::uninit();
        // SAFETY: addresses alone, nothing is read
        unsafe {
            (std::ptr::addr_of!((*value.as_ptr()).$field) as usize - value.as_ptr() as usize) as i64
        }
    }};
}

fn ours() -> Vec<i64> {
    let mut all: Vec<i64> = vec![i64::from(ABI_VERSION)];
    all.extend([OK, STALE, CLOSED, NOT_A_PROCESS, WOULD_BLOCK, CANCELLED].map(i64::from));
    all.extend([REQUEST_STREAM, RESPONSE_BUFFER, RESPONSE_ERROR].map(i64::from));
    all.extend([END_RESPONSE, END_ERROR, END_TIMEOUT, END_CANCELLED].map(i64::from));
    all.extend(crate::Level::ALL.map(|level| level as i64));
    all.extend([size_of::<RawRequest>() as i64, align_of::<RawRequest>() as i64]);
    all.extend([offset!(RawRequest, data), offset!(RawRequest, size)]);
    all.extend([offset!(RawRequest, method), offset!(RawRequest, method_size)]);
    all.extend([offset!(RawRequest, deadline_ns), offset!(RawRequest, flags)]);
    all.extend([size_of::<RawResponse>() as i64, align_of::<RawResponse>() as i64]);
    all.extend([offset!(RawResponse, data), offset!(RawResponse, size)]);
    all.extend([offset!(RawResponse, detail), offset!(RawResponse, detail_size)]);
    all.extend([offset!(RawResponse, rc), offset!(RawResponse, flags)]);
    all.extend([offset!(RawResponse, result), size_of::<RawTesthostResponse>() as i64]);
    all.extend([
        offset!(RawTesthostResponse, rc),
        offset!(RawTesthostResponse, data),
        offset!(RawTesthostResponse, size),
    ]);
    all.extend([offset!(RawTesthostResponse, detail), offset!(RawTesthostResponse, detail_size)]);
    all
}

#[test]
fn constants_and_layouts_are_those_of_the_header() {
    assert_eq!(ours(), theirs());
}

/// How many arguments a function of a header has.
fn arguments_of(header: &str, name: &str) -> usize {
    let found = header.find(&format!("{}(", name)).unwrap_or_else(|| panic!("no {}", name));
    let arguments = &header[found + name.len() + 1..];
    let end = arguments.find(");").unwrap();
    let arguments = arguments[..end].trim();
    if arguments == "void" {
        0
    } else {
        arguments.split(',').count()
    }
}

#[test]
fn functions_have_as_many_arguments_as_in_the_header() {
    let include = concat!(env!("NFFI_LIBRARIES"), "/../include");
    let header = ["nffi.h", "nffi_testhost.h"]
        .map(|name| std::fs::read_to_string(format!("{}/{}", include, name)).unwrap())
        .concat();
    // a comment may name a function, too
    let mut code = String::new();
    let mut rest = header.as_str();
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = &rest[rest.find("*/").unwrap() + 2..];
    }
    code.push_str(rest);
    let source = include_str!("../abi.rs");
    let mut seen = 0;
    for line in source.split("\n        fn nffi_").skip(1) {
        let (name, after) = line.split_once('(').unwrap();
        let (arguments, _) = after.split_once(')').unwrap();
        let count = if arguments.trim().is_empty() { 0 } else { arguments.split(',').count() };
        assert_eq!(count, arguments_of(&code, &format!("nffi_{}", name)), "nffi_{}", name);
        seen += 1;
    }
    assert_eq!(seen, 31);
}
