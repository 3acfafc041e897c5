//! The same function behind a unix socket: PROGRAM SOCKET. A length of four bytes precedes each
//! payload; a thread serves each connection.
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

fn main() -> std::io::Result<()> {
    let path = std::env::args().nth(1).expect("the path of a socket");
    for connection in UnixListener::bind(path)?.incoming() {
        let connection = connection?;
        std::thread::spawn(move || serve(connection));
    }
    Ok(())
}

fn serve(mut connection: UnixStream) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut head = [0; 4];
        connection.read_exact(&mut head)?;
        buffer.clear();
        buffer.extend_from_slice(&head);
        buffer.resize(4 + u32::from_be_bytes(head) as usize, 0);
        connection.read_exact(&mut buffer[4..])?;
        connection.write_all(&buffer)?;
    }
}
