//! The real nginx of the product, for tests from end to end.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The nginx that `nffi build` has made, with the nginx.conf of a project, on a free port. It ends
/// with this value.
pub struct Nginx {
    child: Child,
    address: String,
    log: PathBuf,
}

/// What nginx has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status: 200.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Nginx {
    /// Starts nginx with a file such as `nginx.conf`. The prefix is `run-test` beside that file.
    pub fn start(conf: impl AsRef<Path>) -> io::Result<Self> {
        let conf = conf.as_ref().canonicalize()?;
        let project = conf.parent().unwrap_or_else(|| Path::new("/"));
        let mut child = Command::new(program())
            .arg("run")
            .current_dir(project)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let log = project.join("run-test/logs/error.log");
        match line.trim().strip_prefix("http://") {
            Some(address) => Ok(Self { address: address.to_owned(), child, log }),
            None => {
                child.wait()?;
                Err(io::Error::new(io::ErrorKind::Other, "nginx does not start, see above"))
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// GET of a path, which ends within 30 s.
    pub fn get(&self, path: &str) -> io::Result<Response> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30)))?;
        // 1.0: the end of the connection is the end of the body
        write!(stream, "GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", path)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "that is no answer in HTTP");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Response { status: status.ok_or_else(wrong)?, body: body.to_owned() })
    }

    /// What stands in error.log.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Nginx {
    /// nffi-nginx ends nginx when its input ends.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// nffi-nginx of NFFI_PREFIX, or of the product that this crate was built with.
fn program() -> PathBuf {
    let product = match env::var_os("NFFI_PREFIX").filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => PathBuf::from(prefix).join("nffi"),
        None => Path::new(env!("NFFI_LIBRARIES")).join(".."),
    };
    product.join("bin/nffi-nginx")
}
