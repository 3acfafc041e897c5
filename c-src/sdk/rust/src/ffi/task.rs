//! One running task. The owner of the `Task` may read its request and is the only one that can
//! respond.

use super::abi::{
    RawRequest, RawResponse, CLOSED, OK, REQUEST_STREAM, RESPONSE_BUFFER, RESPONSE_ERROR, STALE,
};
use super::load::{error_text, functions};
use std::mem::ManuallyDrop;
use std::os::raw::{c_int, c_void};

/// The handle of a task that may be over: every use of it is checked by libnffi.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(pub(super) u64);

impl TaskId {
    /// True if the task was cancelled or has its response.
    pub fn is_cancelled(self) -> bool {
        // SAFETY: any number is allowed
        unsafe { (functions().nffi_task_cancelled)(self.0) != 0 }
    }

    pub fn log(self, level: c_int, text: &str) -> bool {
        // SAFETY: the bytes live during the call
        unsafe { (functions().nffi_log)(self.0, level, text.as_ptr().cast(), text.len()) == OK }
    }

    /// A code of nffi.h.
    pub fn write(self, chunk: &[u8]) -> c_int {
        // SAFETY: the bytes live during the call
        unsafe { (functions().nffi_stream_write)(self.0, chunk.as_ptr().cast(), chunk.len()) }
    }
}

pub struct Task {
    id: u64,
    data: *const u8,
    size: usize,
    method: *const u8,
    method_size: usize,
    deadline_ns: u64,
    flags: u32,
}

// SAFETY: the request's memory is not written while the task is open, and all calls may be made
// from any thread
unsafe impl Send for Task {}
// SAFETY: as above; only what takes `self` ends it
unsafe impl Sync for Task {}

impl Task {
    /// # Safety
    /// The request was just taken from a queue, and becomes one Task only.
    pub(super) unsafe fn new(request: &RawRequest) -> Self {
        Self {
            id: request.task,
            data: request.data.cast(),
            size: request.size,
            method: request.method.cast(),
            method_size: request.method_size,
            deadline_ns: request.deadline_ns,
            flags: request.flags,
        }
    }

    pub fn id(&self) -> TaskId {
        TaskId(self.id)
    }

    pub fn data(&self) -> &[u8] {
        // SAFETY: nffi.h: valid until the task is answered, which takes it away
        unsafe { slice(self.data, self.size) }
    }

    pub fn method(&self) -> &[u8] {
        // SAFETY: as data()
        unsafe { slice(self.method, self.method_size) }
    }

    /// CLOCK_MONOTONIC, 0: none.
    pub fn deadline_ns(&self) -> u64 {
        self.deadline_ns
    }

    /// Lua reads chunks.
    #[cfg_attr(not(feature = "serde"), allow(dead_code))]
    pub fn is_streamed(&self) -> bool {
        self.flags & REQUEST_STREAM != 0
    }

    /// The end of what was written.
    pub fn end_stream(self) {
        let id = self.into_id();
        // SAFETY: any number is allowed
        let result = unsafe { (functions().nffi_stream_end)(id) };
        give_up(id, result);
    }

    /// Memory for the response; None: there is none, or the task is over.
    pub fn buffer(&self, size: usize) -> Option<Buffer> {
        // SAFETY: any number is allowed
        let data = unsafe { (functions().nffi_response_alloc)(self.id, size) };
        if data.is_null() {
            None
        } else {
            Some(Buffer { task: self.id, data: data.cast(), room: size, size: 0 })
        }
    }

    fn into_id(self) -> u64 {
        ManuallyDrop::new(self).id
    }
}

/// A task always needs a response.
impl Drop for Task {
    fn drop(&mut self) {
        fail(self.id, "the handler has ended without a response");
    }
}

/// # Safety
/// The pointer has `size` bytes for as long as the result is used.
unsafe fn slice<'a>(data: *const u8, size: usize) -> &'a [u8] {
    if size == 0 {
        &[]
    } else {
        // SAFETY: as the caller says
        unsafe { std::slice::from_raw_parts(data, size) }
    }
}

/// Memory for one task's response. It must be dropped before the task gets another response:
/// [`crate::Output`] ensures that, and never exposes it.
pub struct Buffer {
    task: u64,
    data: *mut u8,
    room: usize,
    size: usize,
}

// SAFETY: it is memory that only its owner writes to
unsafe impl Send for Buffer {}

impl Buffer {
    pub fn room(&self) -> usize {
        self.room - self.size
    }

    /// Copies as much as there is room for.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let size = bytes.len().min(self.room());
        // SAFETY: the buffer has this size, and the bytes are not part of it
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data.add(self.size), size);
        }
        self.size += size;
        size
    }

    /// All that room is for, as zeros at first.
    pub fn zeroed(&mut self) -> &mut [u8] {
        self.size = self.room;
        // SAFETY: the buffer has this size, and all of it is written before it is lent
        unsafe {
            std::ptr::write_bytes(self.data, 0, self.room);
            std::slice::from_raw_parts_mut(self.data, self.room)
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: it is the buffer of that task, which has not been given
        unsafe { (functions().nffi_response_discard)(self.task, self.data.cast()) };
    }
}

pub(crate) enum TaskResponse {
    Bytes { task: Task, data: Vec<u8> },
    Static { task: Task, data: Option<&'static [u8]> },
    Buffer { task: Task, buffer: Buffer },
    Error { task: Task, message: String, detail: String },
    Code { task: Task, code: i32, message: String },
}

/// Sends many responses with one lock and at most one wake-up.
pub(crate) fn respond(responses: Vec<TaskResponse>) {
    let mut raw: Vec<RawResponse> = Vec::with_capacity(responses.len());
    // what the responses point to lives until they are sent
    let mut kept = Vec::with_capacity(responses.len());
    for response in responses {
        raw.push(raw_response(response, &mut kept));
    }
    // SAFETY: the responses and their bytes live during the call; each task ends by this alone
    unsafe { (functions().nffi_respond_batch)(raw.as_mut_ptr(), raw.len()) };
    for response in &raw {
        if response.flags & RESPONSE_BUFFER != 0 && response.result != OK {
            // SAFETY: it is the buffer of that task, which was not taken
            unsafe { (functions().nffi_response_discard)(response.task, response.data) };
        }
        give_up(response.task, response.result);
    }
}

fn raw_response(response: TaskResponse, kept: &mut Vec<(Vec<u8>, String)>) -> RawResponse {
    let mut raw = RawResponse {
        task: 0,
        data: std::ptr::null_mut(),
        size: 0,
        detail: std::ptr::null(),
        detail_size: 0,
        rc: 0,
        flags: 0,
        result: 0,
    };
    let mut bytes = |data: &[u8]| {
        // libnffi reads from it only
        raw.data = data.as_ptr() as *mut c_void;
        raw.size = data.len();
    };
    match response {
        TaskResponse::Bytes { task, data } => {
            bytes(&data);
            raw.task = task.into_id();
            // moving a vector leaves its bytes where they are
            kept.push((data, String::new()));
        }
        TaskResponse::Static { task, data } => {
            if let Some(data) = data {
                bytes(data);
            }
            raw.task = task.into_id();
        }
        TaskResponse::Buffer { task, buffer } => {
            let buffer = ManuallyDrop::new(buffer);
            raw.task = task.into_id();
            raw.data = buffer.data.cast();
            raw.size = buffer.size;
            raw.flags = RESPONSE_BUFFER;
        }
        TaskResponse::Error { task, message, detail } => {
            bytes(message.as_bytes());
            raw.task = task.into_id();
            raw.detail = detail.as_ptr().cast();
            raw.detail_size = detail.len();
            raw.flags = RESPONSE_ERROR;
            kept.push((message.into_bytes(), detail));
        }
        TaskResponse::Code { task, code, message } => {
            bytes(message.as_bytes());
            raw.task = task.into_id();
            raw.rc = code;
            kept.push((message.into_bytes(), String::new()));
        }
    }
    raw
}

/// Reports to the caller why its response cannot be sent, unless the call was cancelled.
fn give_up(task: u64, result: c_int) {
    if result != OK && !is_over(result) {
        fail(task, &format!("the response cannot be sent: {}", error_text(result)));
    }
}

fn fail(task: u64, message: &str) {
    // SAFETY: the bytes live during the call
    unsafe {
        (functions().nffi_respond_error)(
            task,
            message.as_ptr().cast(),
            message.len(),
            std::ptr::null(),
            0,
        )
    };
}

/// True for a result that needs no response: the task or its queue has ended.
fn is_over(result: c_int) -> bool {
    result == STALE || result == CLOSED
}
