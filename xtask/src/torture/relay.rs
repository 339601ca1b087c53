//! A relay between a client and the hub that does to connections what networks do.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::ports;
use super::process::{BOUND, until};
use super::trouble::Trouble;

const TICK: Duration = Duration::from_millis(5);
const BUFFER: usize = 4096;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToHub,
    ToClient,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything is passed on.
    Pass,
    /// Every piece waits so long.
    Delay(Duration),
    /// Both ends are closed in order once so many bytes went this way.
    Cut(Way, u64),
    /// Both ends are reset once so many bytes went this way.
    Reset(Way, u64),
    /// Nothing goes this way any more after so many bytes, and nothing is closed.
    Stall(Way, u64),
    /// Nobody listens.
    Refuse,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    /// Goes up with every change of mode, which ends the connections of the one before.
    epoch: AtomicU64,
    listens: AtomicBool,
    over: AtomicBool,
    address: String,
    target: String,
}

/// The relay; ends with its guard.
#[derive(Debug)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Relay {
    /// A relay to `target` that passes everything on.
    pub(crate) fn new(target: &str) -> Result<Self, Trouble> {
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Pass),
            epoch: AtomicU64::new(0),
            listens: AtomicBool::new(false),
            over: AtomicBool::new(false),
            address: ports::free()?,
            target: target.to_owned(),
        });
        let own = Arc::clone(&shared);
        let relay = Self {
            shared,
            acceptor: Some(std::thread::spawn(move || accept(&own))),
        };
        relay.set(Mode::Pass)?;
        Ok(relay)
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> &str {
        &self.shared.address
    }

    /// Ends what is open, and does `mode` to what comes.
    pub(crate) fn set(&self, mode: Mode) -> Result<(), Trouble> {
        *self
            .shared
            .mode
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = mode;
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        let wanted = mode != Mode::Refuse;
        let done = until(BOUND, || {
            Ok((self.shared.listens.load(Ordering::SeqCst) == wanted).then_some(()))
        })?;
        done.ok_or_else(|| Trouble::Wedged("the relay does not change its mode".to_owned()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

impl Shared {
    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_past(&self, epoch: u64) -> bool {
        self.over.load(Ordering::SeqCst) || self.epoch.load(Ordering::SeqCst) != epoch
    }
}

/// Listens unless the mode is to refuse, and gives every connection threads of its own.
fn accept(shared: &Arc<Shared>) {
    let mut listener: Option<TcpListener> = None;
    while !shared.over.load(Ordering::SeqCst) {
        if shared.mode() == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(&shared.address).ok();
        }
        shared.listens.store(listener.is_some(), Ordering::SeqCst);
        let accepted = listener.as_ref().and_then(|listener| {
            listener.set_nonblocking(true).ok()?;
            listener.accept().ok()
        });
        match accepted {
            Some((client, _)) => connect(shared, client),
            None => std::thread::sleep(TICK),
        }
    }
}

/// Two threads, one for each way; they end when either way does, or when the mode changes.
fn connect(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(hub) = TcpStream::connect(&shared.target) else {
        return;
    };
    let link = Arc::new(Link {
        shared: Arc::clone(shared),
        epoch: shared.epoch.load(Ordering::SeqCst),
        mode: shared.mode(),
        broken: AtomicBool::new(false),
        client,
        hub,
    });
    for way in [Way::ToHub, Way::ToClient] {
        let own = Arc::clone(&link);
        std::thread::spawn(move || own.pump(way));
    }
}

struct Link {
    shared: Arc<Shared>,
    epoch: u64,
    mode: Mode,
    broken: AtomicBool,
    client: TcpStream,
    hub: TcpStream,
}

impl Link {
    fn is_over(&self) -> bool {
        self.broken.load(Ordering::SeqCst) || self.shared.is_past(self.epoch)
    }

    /// Passes bytes on until an end closes, fails, or the mode says so.
    fn pump(&self, way: Way) {
        let (from, to) = match way {
            Way::ToHub => (&self.client, &self.hub),
            Way::ToClient => (&self.hub, &self.client),
        };
        let passed = self.pass(from, to, way);
        if passed.is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
        if !matches!(self.mode, Mode::Reset(..)) {
            let how = match passed {
                Ok(()) => Shutdown::Write,
                Err(_) => Shutdown::Both,
            };
            to.shutdown(how).ok();
        }
    }

    fn pass(&self, mut from: &TcpStream, mut to: &TcpStream, way: Way) -> std::io::Result<()> {
        from.set_nonblocking(false)?;
        from.set_read_timeout(Some(TICK))?;
        to.set_write_timeout(Some(BOUND))?;
        let mut room = match self.mode {
            Mode::Cut(at, bytes) | Mode::Reset(at, bytes) | Mode::Stall(at, bytes) if at == way => {
                bytes
            }
            _ => u64::MAX,
        };
        let mut buffer = [0; BUFFER];
        while !self.is_over() {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if is_timeout(error.kind()) => continue,
                Err(error) => return Err(error),
            };
            if let Mode::Delay(pause) = self.mode {
                std::thread::sleep(pause);
            }
            let fits = usize::try_from(room).unwrap_or(BUFFER).min(count);
            to.write_all(buffer.get(..fits).unwrap_or_default())?;
            room = room.saturating_sub(u64::try_from(fits).unwrap_or(0));
            if room == 0 {
                return self.end();
            }
        }
        Err(ErrorKind::ConnectionAborted.into())
    }

    /// The bytes that the mode allows have been passed.
    fn end(&self) -> std::io::Result<()> {
        match self.mode {
            Mode::Stall(..) => {
                while !self.is_over() {
                    std::thread::sleep(TICK);
                }
            }
            // With no time to linger, closing a socket resets its connection.
            Mode::Reset(..) => {
                set_socket_linger(&self.client, Some(Duration::ZERO))?;
                set_socket_linger(&self.hub, Some(Duration::ZERO))?;
            }
            _ => {}
        }
        Err(ErrorKind::ConnectionAborted.into())
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every byte with itself.
    fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut copy = stream.try_clone().unwrap();
                    std::io::copy(&mut copy, &mut stream).ok();
                });
            }
        });
        address
    }

    fn ask(relay: &Relay) -> std::io::Result<Vec<u8>> {
        ask_within(relay, BOUND)
    }

    fn ask_within(relay: &Relay, patience: Duration) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(relay.address())?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"0123456789")?;
        let mut answer = vec![0; 10];
        let mut read = 0;
        while read < 10 {
            match stream.read(&mut answer[read..])? {
                0 => break,
                more => read += more,
            }
        }
        answer.truncate(read);
        Ok(answer)
    }

    #[test]
    fn every_mode_does_what_it_says() {
        let relay = Relay::new(&echo()).unwrap();
        assert_eq!(ask(&relay).unwrap(), b"0123456789");
        relay.set(Mode::Delay(Duration::from_millis(2))).unwrap();
        assert_eq!(ask(&relay).unwrap(), b"0123456789");
        relay.set(Mode::Cut(Way::ToClient, 4)).unwrap();
        assert_eq!(ask(&relay).unwrap(), b"0123");
        relay.set(Mode::Stall(Way::ToHub, 4)).unwrap();
        let stalled = ask_within(&relay, Duration::from_millis(300)).unwrap_err();
        assert!(is_timeout(stalled.kind()), "{stalled}");
        relay.set(Mode::Reset(Way::ToHub, 4)).unwrap();
        assert_eq!(ask(&relay).unwrap_err().kind(), ErrorKind::ConnectionReset);
        relay.set(Mode::Refuse).unwrap();
        assert_eq!(
            ask(&relay).unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        relay.set(Mode::Pass).unwrap();
        assert_eq!(ask(&relay).unwrap(), b"0123456789");
    }
}
