//! What stands between a project and its hub, and can fail as a network does.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It reaches the hub.
    Forward,
    /// It is accepted, and nothing ever comes back.
    Mute,
    /// It reaches the hub, and breaks after so many bytes of answer.
    Cut(usize),
    /// The same, and every later one is refused.
    CutForGood(usize),
    /// It is closed at once.
    Refuse,
}

/// A relay on a port of its own.
pub(crate) struct Proxy {
    pub(crate) address: String,
    hub: Arc<Mutex<String>>,
    mode: Arc<Mutex<Mode>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn to(hub: &str, mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap().to_string(),
            hub: Arc::new(Mutex::new(hub.to_owned())),
            mode: Arc::new(Mutex::new(mode)),
            open: Arc::default(),
        };
        let (mode, open) = (Arc::clone(&proxy.mode), Arc::clone(&proxy.open));
        let hub = Arc::clone(&proxy.hub);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let client = stream.unwrap();
                open.lock().unwrap().push(client.try_clone().unwrap());
                let hub = hub.lock().unwrap().clone();
                let mut mode = mode.lock().unwrap();
                match *mode {
                    Mode::Mute => {}
                    Mode::Refuse => drop(client.shutdown(Shutdown::Both)),
                    Mode::CutForGood(bytes) => {
                        *mode = Mode::Refuse;
                        relay(client, &hub, bytes);
                    }
                    Mode::Forward => relay(client, &hub, usize::MAX),
                    Mode::Cut(bytes) => relay(client, &hub, bytes),
                }
            }
        });
        proxy
    }

    /// What becomes of connections from now on.
    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Where connections lead from now on.
    pub(crate) fn lead_to(&self, hub: &str) {
        *self.hub.lock().unwrap() = hub.to_owned();
    }

    /// Breaks every connection there is.
    pub(crate) fn break_all(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Carries bytes both ways until one side ends, or `limit` bytes have come from the hub.
fn relay(client: TcpStream, hub: &str, limit: usize) {
    let Ok(server) = TcpStream::connect(hub) else {
        client.shutdown(Shutdown::Both).ok();
        return;
    };
    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || carry(&from, &to, usize::MAX));
    std::thread::spawn(move || carry(&server, &client, limit));
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, limit: usize) {
    let mut left = limit;
    let mut buffer = vec![0; 16 * 1024];
    while left > 0 {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]) {
            Ok(read @ 1..) if to.write_all(&buffer[..read]).is_ok() => left -= read,
            _ => break,
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
