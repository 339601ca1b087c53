//! A hub that speaks TLS, and projects that know whom they trust.

use std::net::UdpSocket;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_hub::connection::Connection;
use insta::assert_snapshot;
use rustix::process::Signal;

use crate::harness::{Project, TestHub, World, put, until};

/// A hub in a directory of its own, with a certificate of its own.
fn encrypted(world: &World, name: &str) -> TestHub {
    let dir = world.root().join(name);
    world.hub_typed("127.0.0.1:0", &dir, &["--tls-self-signed"], &said(world))
}

/// Where a hub says what it has to say.
fn said(world: &World) -> Utf8PathBuf {
    world.root().join("said")
}

impl TestHub {
    fn pin(&self) -> &str {
        self.fingerprint.as_deref().expect("it speaks TLS")
    }
}

impl Project<'_> {
    fn register(&self, hub: &TestHub, address: &str, more: &[&str]) -> crate::harness::Run {
        let token = hub.token();
        let mut args = vec!["connect", "register", address, "--token", &token];
        args.extend(more);
        self.ctx(&args)
    }
}

/// An address of this machine that others can reach, if it has one.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then(|| own.to_string())
}

#[test]
fn a_project_pins_the_certificate_that_a_hub_made_and_shows() {
    let world = World::new();
    let hub = encrypted(&world, "hub");
    let data = hub.data.path().to_owned();
    let status = world
        .ctx(&["--json", "hub", "status", "--data-dir", data.as_str()])
        .json();
    assert_eq!(status["encrypted"], true);
    assert_eq!(status["fingerprint"], hub.pin());
    assert!(status["certificate_expires_at"].as_i64().unwrap() > 2_000_000_000);

    let project = world.project("p");
    let run = project.register(&hub, &hub.address, &["--fingerprint", hub.pin()]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(
        run.stdout.contains(&format!("https://{}", hub.address)),
        "{}",
        run.show()
    );
    assert_eq!(project.publish("decision", "over TLS"), 1);
    assert_eq!(project.sync(), 1);
    let remote = project.ctx(&[
        "--json",
        "hub",
        "clients",
        "--hub",
        &format!("grpcs://{}", hub.address),
        "--fingerprint",
        &hub.pin().to_uppercase(),
        "--token",
        &hub.token(),
    ]);
    assert_eq!(remote.code, 0, "{}", remote.show());

    // The next start shows the same one.
    let (address, pin) = (hub.address.clone(), hub.pin().to_owned());
    hub.stop(&world);
    let again = world.hub_typed(&address, &data, &["--tls-self-signed"], &said(&world));
    assert_eq!(again.pin(), pin);
    assert_eq!(project.publish("decision", "again"), 2);
}

#[test]
fn registering_says_what_to_write_and_sends_nothing_before() {
    let world = World::new();
    let project = world.project("p");
    let register = |address: &str, more: &[&str]| {
        let token = format!("ctx_adm_{}", "0".repeat(64));
        let mut args = vec!["connect", "register", address, "--token", &token];
        args.extend(more);
        project.ctx(&args)
    };
    assert_snapshot!(register("hub.example", &[]).show(), @r"
    exit 2
    --- stderr
    error: hub.example:9900 does not say whether the hub is asked over TLS
    hint: write https://hub.example:9900 for TLS, with --ca-cert or --fingerprint for a certificate of its own; or http://hub.example:9900 with --insecure on a network that you trust
    ");
    for (address, more, says) in [
        (
            "http://hub.example",
            &[][..],
            "a token is not sent to http://hub.example:9900",
        ),
        (
            "https://hub.example",
            &["--insecure"],
            "where nothing is insecure",
        ),
        (
            "https://hub.example",
            &["--fingerprint", "ab"],
            "64 hex digits",
        ),
        (
            "https://hub.example",
            &["--ca-cert", "none.pem"],
            "none.pem is not there",
        ),
    ] {
        let run = register(address, more);
        assert_eq!(run.code, 2, "{}", run.show());
        assert!(run.stderr.contains(says), "{}", run.show());
    }
}

#[test]
fn a_hub_does_not_listen_beyond_this_machine_in_the_clear() {
    let world = World::new();
    assert_snapshot!(world.ctx(&["hub", "start", "--bind", "0.0.0.0:0"]).show(), @r"
    exit 2
    --- stderr
    error: a hub does not listen on 0.0.0.0:0 in the clear
    hint: whoever can listen in on the network would read tokens and entries: encrypt with --tls-self-signed, or with --tls-cert and --tls-key; or listen on 127.0.0.1 behind a proxy that encrypts; --insecure allows it all the same
    ");
    let checked = world.ctx(&["hub", "start", "--check", "--bind", "[::]:0"]);
    assert_eq!(checked.code, 2, "{}", checked.show());
}

#[test]
fn what_goes_into_the_clear_is_warned_of_each_time() {
    let Some(own) = own_address() else {
        return;
    };
    let world = World::new();
    let dir = world.root().join("hub");
    let hub = world.hub_typed(&format!("{own}:0"), &dir, &["--insecure"], &said(&world));
    let warned = fs_err::read_to_string(said(&world)).unwrap();
    assert!(
        warned.contains("can be reached from other machines"),
        "{warned}"
    );

    let project = world.project("p");
    let run = project.register(&hub, &hub.address, &["--insecure"]);
    assert_eq!(run.code, 0, "{}", run.show());
    for args in [
        &["connect", "publish", "task", "in the clear"][..],
        &["--quiet", "connect", "sync"],
        &["--json", "connect", "status"],
        &["connect", "verify"],
    ] {
        let run = project.ctx(args);
        assert_eq!(run.code, 0, "{}", run.show());
        let said = format!(
            "warning: the token is sent to http://{} in the clear",
            hub.address
        );
        assert_eq!(run.stderr.matches(&said).count(), 1, "{}", run.show());
    }
}

/// Writes another address into the connection file, as an older version would have left it.
fn keep_address(world: &World, project: &Project<'_>, address: &str) {
    let mut connection = Connection::load(&project.context(), &world.user()).unwrap();
    connection.hub_addr = address.parse().unwrap();
    connection.trust = ctx_hub::client::Trust::System;
    connection.save(&project.context(), &world.user()).unwrap();
}

#[test]
fn a_project_of_an_older_version_is_mended_by_the_one_command_that_is_named() {
    let world = World::new();
    let hub = encrypted(&world, "hub");
    let project = world.project("p");
    let run = project.register(&hub, &hub.address, &["--fingerprint", hub.pin()]);
    assert_eq!(run.code, 0, "{}", run.show());
    project.publish("decision", "before");
    project.sync();

    keep_address(&world, &project, "hub.example:9900");
    for args in [
        &["connect", "sync"][..],
        &["connect", "publish", "task", "x"],
        &["connect", "listen"],
        &["connect", "status"],
    ] {
        let run = project.ctx(args);
        assert_eq!(run.code, 5, "{}", run.show());
        let named = "`ctx connect move https://hub.example:9900`";
        assert!(run.stderr.contains(named), "{}", run.show());
    }

    let address = format!("https://{}", hub.address);
    let moved = project.ctx(&["connect", "move", &address, "--fingerprint", hub.pin()]);
    assert_snapshot!(moved.show(), @r"
    exit 0
    --- stdout
    moved from hub.example:9900 to https://127.0.0.1:[port]
    ");
    assert_eq!(project.publish("decision", "after"), 2);
    assert_eq!(project.sync(), 1, "what was there is not fetched again");
}

#[test]
fn a_project_moves_only_to_its_own_hub() {
    let world = World::new();
    let hub = encrypted(&world, "hub");
    let other = encrypted(&world, "other");
    let project = world.project("p");
    let run = project.register(&hub, &hub.address, &["--fingerprint", hub.pin()]);
    assert_eq!(run.code, 0, "{}", run.show());
    project.publish("decision", "mine");
    project.sync();
    let before = fs_err::read(project.context().connect_file()).unwrap();

    for (address, pin, code) in [
        // One that does not know the token.
        (&other.address, other.pin(), 5),
        // One that shows another certificate.
        (&other.address, hub.pin(), 5),
        // None.
        (&"127.0.0.1:9".to_owned(), hub.pin(), 4),
    ] {
        let run = project.ctx(&["connect", "move", address, "--fingerprint", pin]);
        assert_eq!(run.code, code, "{}", run.show());
        let after = fs_err::read(project.context().connect_file()).unwrap();
        assert_eq!(before, after, "nothing was changed");
    }
    assert_eq!(project.publish("decision", "still mine"), 2);
}

#[test]
fn another_certificate_is_noticed_by_who_pinned_and_not_by_who_trusts_its_key() {
    let world = World::new();
    let hub = encrypted(&world, "hub");
    let (data, address) = (hub.data.clone(), hub.address.clone());
    let ca = world.root().join("kept.pem");
    fs_err::copy(data.tls_cert(), &ca).unwrap();
    let pins = world.project("pins");
    let trusts = world.project("trusts");
    for (project, more) in [
        (&pins, ["--fingerprint", hub.pin()]),
        (&trusts, ["--ca-cert", ca.as_str()]),
    ] {
        let run = project.register(&hub, &format!("https://{address}"), &more);
        assert_eq!(run.code, 0, "{}", run.show());
    }
    // Kept with the connection, not read again.
    fs_err::remove_file(&ca).unwrap();

    hub.stop(&world);
    fs_err::remove_file(data.tls_cert()).unwrap();
    let hub = world.hub_typed(&address, data.path(), &["--tls-self-signed"], &said(&world));
    assert_eq!(trusts.publish("decision", "the key is the same"), 1);
    let run = pins.ctx(&["connect", "publish", "decision", "x"]);
    assert_eq!(run.code, 5, "{}", run.show());
    assert!(run.stderr.contains("is pinned"), "{}", run.show());
    let mut listener = pins.spawn(&["connect", "listen"]);
    assert_eq!(listener.wait().code(), Some(5), "no waiting mends that");
    pins.ok(&["connect", "move", &address, "--fingerprint", hub.pin()]);
    assert_eq!(pins.publish("decision", "moved"), 2);
}

#[test]
fn an_authority_that_the_machine_trusts_needs_no_flag() {
    let world = World::new();
    let hub = encrypted(&world, "hub");
    let project = world.project("p");
    let (token, cert) = (hub.token(), hub.data.tls_cert());
    let port = hub.address.rsplit(':').next().unwrap();
    let address = format!("https://localhost:{port}");
    let args = ["connect", "register", &address, "--token", &token];
    let unknown = project.ctx(&args);
    assert_eq!(unknown.code, 5, "{}", unknown.show());
    let known = project.with(&args, |command| {
        command.env("SSL_CERT_FILE", &cert);
    });
    assert_eq!(known.code, 0, "{}", known.show());
}

#[test]
fn a_hub_that_is_told_to_reads_its_certificate_again_and_survives_a_broken_one() {
    let world = World::new();
    let source = encrypted(&world, "source");
    let (data, pin) = (source.data.clone(), source.pin().to_owned());
    source.stop(&world);
    let (cert, key) = (
        world.root().join("chain.pem"),
        world.root().join("private.pem"),
    );
    fs_err::copy(data.tls_cert(), &cert).unwrap();
    fs_err::copy(data.tls_key(), &key).unwrap();
    let files = ["--tls-cert", cert.as_str(), "--tls-key", key.as_str()];
    let hub = world.hub_typed(
        "127.0.0.1:0",
        &world.root().join("hub"),
        &files,
        &said(&world),
    );
    assert_eq!(hub.pin(), pin);

    let heard = |what: &str| {
        hub.signal(Signal::HUP);
        until(what, || {
            let text = read(&said(&world));
            text.contains(what).then_some(())
        });
    };
    put(&cert, b"half of a certif");
    heard("the old one is shown further");
    let project = world.project("p");
    let run = project.register(&hub, &hub.address, &["--fingerprint", &pin]);
    assert_eq!(run.code, 0, "{}", run.show());
}

fn read(path: &Utf8Path) -> String {
    fs_err::read_to_string(path).unwrap()
}
