//! Tells cargo the path of libnffi. A program opens the library when it starts instead of linking
//! it, since cargo does not pass a run path from a dependency to the final link.

use std::env;
use std::path::PathBuf;
use std::process::{exit, Command};

const LIBRARY: &str = "libnffi.so.1";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=NFFI_PREFIX");
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");
    println!("cargo:rustc-env=NFFI_LIBRARIES={}", libraries().display());
    let minor = minor_of_rustc();
    if minor >= 80 {
        println!("cargo:rustc-check-cfg=cfg(nffi_backtrace)");
    }
    if minor >= 65 {
        println!("cargo:rustc-cfg=nffi_backtrace");
    }
}

/// PREFIX/nffi/lib: this directory is PREFIX/nffi/rust, or a copy of it elsewhere.
fn libraries() -> PathBuf {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets the directory"));
    let beside = here.join("../lib");
    let named = env::var_os("NFFI_PREFIX").map(|prefix| PathBuf::from(prefix).join("nffi/lib"));
    for folder in [Some(beside.clone()), named, from_pkg_config()].iter().flatten() {
        if folder.join(LIBRARY).exists() {
            return folder.canonicalize().unwrap_or_else(|_| folder.clone());
        }
    }
    eprintln!(
        "there is no {} in {}: use the crate in PREFIX/nffi/rust of the prefix that `nffi build` \
         has filled, or, for a copy elsewhere, set NFFI_PREFIX or \
         PKG_CONFIG_PATH=PREFIX/nffi/lib/pkgconfig",
        LIBRARY,
        beside.display()
    );
    exit(1)
}

fn from_pkg_config() -> Option<PathBuf> {
    let output = Command::new("pkg-config").args(["--variable=libdir", "nffi"]).output().ok()?;
    let folder = String::from_utf8(output.stdout).ok()?;
    Some(folder.trim()).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// 65 of "rustc 1.65.0".
fn minor_of_rustc() -> u32 {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().expect("rustc prints its version");
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    text.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
}
