//! A hub and the service manager that starts it: told when it serves, handed the address.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use camino::Utf8PathBuf;
use rustix::process::Signal;

use crate::harness::{PATIENCE, PROGRAM, Reaped, World, until};

/// A service manager that notes what it is told.
struct Manager {
    socket: UnixDatagram,
    path: Utf8PathBuf,
}

impl Manager {
    fn new(world: &World) -> Self {
        let path = world.root().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// The next thing that it is told.
    fn told(&self) -> String {
        let mut bytes = [0; 4_096];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

/// An address that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_service_manager_is_told_ready_when_the_hub_answers_and_stopping_when_it_drains() {
    let world = World::new();
    let manager = Manager::new(&world);
    let address = free_address();
    let mut command = world.command();
    command.args(["hub", "start", "--quiet", "--bind", &address, "--data-dir"]);
    let data = world.root().join("data");
    command.arg(&data).env("NOTIFY_SOCKET", &manager.path);
    let mut hub = Reaped(command.spawn().unwrap());

    let ready = manager.told();
    TcpStream::connect(&address).expect("it was said to be ready");
    let wanted = format!("READY=1\nSTATUS=serving on {address}\n");
    assert_eq!(ready, wanted);
    let status = world.ctx(&["hub", "status", "--exit-code", "--data-dir", data.as_str()]);
    assert_eq!(status.code, 0, "{}", status.show());

    hub.signal(Signal::TERM);
    let stopping = manager.told();
    assert!(stopping.starts_with("STOPPING=1\nSTATUS="), "{stopping}");
    assert!(hub.wait().success());
}

#[test]
fn a_watchdog_hears_that_the_hub_lives() {
    let world = World::new();
    let manager = Manager::new(&world);
    let mut command = world.command();
    command.args(["hub", "start", "--quiet", "--port", "0", "--data-dir"]);
    command.arg(world.root().join("data"));
    command.env("NOTIFY_SOCKET", &manager.path);
    command.env("WATCHDOG_USEC", "100000");
    let _hub = Reaped(command.spawn().unwrap());
    for _ in 0..2 {
        until("it says so", || {
            (manager.told() == "WATCHDOG=1\n").then_some(())
        });
    }
}

/// The program with `sockets` passed to it as a service manager does. They come in by standard
/// input of a shell, which becomes the program: so the number of its process is known.
fn activated(world: &World, passed: OwnedFd, sockets: &str) -> Reaped {
    let script = format!(
        "exec 3<&0 4<&0 0</dev/null && LISTEN_FDS={sockets} LISTEN_PID=$$ exec \"$0\" \"$@\""
    );
    let mut command = Command::new("sh");
    world.clean(&mut command);
    command.args(["-c", &script, PROGRAM, "hub", "start", "--json", "--quiet"]);
    // It is passed an address, so this one is not taken.
    command.args(["--bind", "127.0.0.1:1", "--data-dir"]);
    command.arg(world.root().join("data"));
    command.stdin(Stdio::from(passed));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Reaped(command.spawn().unwrap())
}

#[test]
fn a_socket_that_is_passed_is_served_with_whoever_connected_before_the_hub_was_there() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut early = TcpStream::connect(&address).unwrap();
    let mut hub = activated(&world, listener.into(), "1");
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    early
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .unwrap();
    early.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let mut head = [0; 9];
    early.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "a SETTINGS frame: {head:?}");
    let data = world.root().join("data");
    let status = world.ctx(&["hub", "status", "--json", "--data-dir", data.as_str()]);
    assert_eq!(status.json()["addresses"][0], address.as_str());
    drop(early);
    hub.signal(Signal::TERM);
    assert!(hub.wait().success());
}

#[test]
fn what_is_passed_and_is_no_one_tcp_socket_is_refused() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let run = activated(&world, listener.into(), "2").output(&world);
    assert_eq!(run.code, 2, "{}", run.show());
    assert!(
        run.stdout.contains("2 sockets were passed"),
        "{}",
        run.show()
    );
    let file = fs_err::File::create_new(world.root().join("file")).unwrap();
    let run = activated(&world, file.into_file().into(), "1").output(&world);
    assert_eq!(run.code, 2, "{}", run.show());
    assert!(run.stdout.contains("cannot be used"), "{}", run.show());
}
