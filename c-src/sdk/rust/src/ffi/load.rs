//! Finds the functions of libnffi: the ones that the process already has (an nginx worker),
//! otherwise those of the library in the product with which this crate was built.

use super::abi::{Functions, HostFunctions, ABI_VERSION};
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::Mutex;

extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

const RTLD_NOW: c_int = 2;
/// RTLD_DEFAULT: what the process has.
const EVERYWHERE: *mut c_void = std::ptr::null_mut();

static FUNCTIONS: AtomicPtr<Functions> = AtomicPtr::new(std::ptr::null_mut());
static HOST: AtomicPtr<HostFunctions> = AtomicPtr::new(std::ptr::null_mut());
/// Two threads may call this concurrently; one waits for the other.
static LOADING: Mutex<()> = Mutex::new(());

/// Must have been successful before anything else is called.
pub(crate) fn load() -> Result<(), String> {
    let _loading = LOADING.lock();
    if !FUNCTIONS.load(Ordering::Acquire).is_null() {
        return Ok(());
    }
    let library = match symbol(EVERYWHERE, "nffi_abi_version\0") {
        Ok(_) => EVERYWHERE,
        Err(_) => open("libnffi.so.1")?,
    };
    // SAFETY: the library is libnffi, which is never unmapped
    let functions = unsafe { Functions::fill(|name| symbol(library, name)) }?;
    // SAFETY: it takes nothing and may be called at any time
    let version = unsafe { (functions.nffi_abi_version)() };
    if version != ABI_VERSION {
        return Err(format!(
            "this runtime is built for version {} of the ABI of nffi, and libnffi has {}: build it \
             again with the crate of that product",
            ABI_VERSION, version
        ));
    }
    FUNCTIONS.store(Box::into_raw(Box::new(functions)), Ordering::Release);
    Ok(())
}

pub(super) fn functions() -> &'static Functions {
    // SAFETY: it is null, or a box that is never freed
    unsafe { FUNCTIONS.load(Ordering::Acquire).as_ref() }.expect("load() comes first")
}

pub(super) fn host_functions() -> Result<&'static HostFunctions, String> {
    load()?;
    let _loading = LOADING.lock();
    if HOST.load(Ordering::Acquire).is_null() {
        let library = open("libnffi_testhost.so")?;
        // SAFETY: the library is libnffi_testhost, which is never closed
        let functions = unsafe { HostFunctions::fill(|name| symbol(library, name)) }?;
        HOST.store(Box::into_raw(Box::new(functions)), Ordering::Release);
    }
    // SAFETY: it is a box that is never freed
    Ok(unsafe { &*HOST.load(Ordering::Acquire) })
}

/// The product first, then where the system looks (LD_LIBRARY_PATH).
fn open(name: &str) -> Result<*mut c_void, String> {
    let mut tried = Vec::new();
    for path in [format!("{}/{}", env!("NFFI_LIBRARIES"), name), name.to_owned()] {
        let path = CString::new(path).map_err(|error| error.to_string())?;
        // SAFETY: the name ends with NUL; libraries of nffi run no code when they are opened
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if !library.is_null() {
            return Ok(library);
        }
        tried.push(last_error());
    }
    Err(format!(
        "{} cannot be opened ({}): build with the crate of the product that it shall run with",
        name,
        tried.join("; ")
    ))
}

/// `name` ends with NUL.
fn symbol(library: *mut c_void, name: &'static str) -> Result<*mut c_void, String> {
    debug_assert!(name.ends_with('\0'));
    // SAFETY: the handle is open, or RTLD_DEFAULT
    let address = unsafe { dlsym(library, name.as_ptr().cast()) };
    if address.is_null() {
        Err(last_error())
    } else {
        Ok(address)
    }
}

fn last_error() -> String {
    // SAFETY: the text is this thread's until its next call of the loader
    unsafe {
        let text = dlerror();
        if text.is_null() {
            return "not found".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

pub(crate) fn error_text(code: c_int) -> String {
    // SAFETY: any code is allowed, and the text is a constant
    unsafe { CStr::from_ptr((functions().nffi_error_text)(code)) }.to_string_lossy().into_owned()
}
