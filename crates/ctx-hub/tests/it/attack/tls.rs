//! Eavesdropping and standing in the middle: what a hub shows, what a client believes, and what
//! either of them never sends.

mod pki;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use ctx_hub::client::{
    AdminClient, ClientError, ClientErrorKind, Distrust, HubClient, Route, Timeouts, Trust,
};
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::secret::{AdminToken, ClientToken};
use ctx_hub::server::{Hub, HubConfig, HubError, TlsError};
use ctx_hub::types::{EntryType, Sequence, TypeSet};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use self::pki::{Authority, Files, Issued, Middleman, relay};
use super::raw::{PREFACE, call};
use crate::server::hub::{TestHub, VERSION};
use crate::server::peer::patient;
use crate::store::import::put;

/// The hub at `address`, over TLS.
fn over_tls(address: SocketAddr, trust: Trust) -> Route {
    Route {
        trust,
        ..Route::new(format!("https://{address}").parse().unwrap())
    }
}

/// The same by the name that this machine has for itself.
fn by_name(address: SocketAddr, trust: Trust) -> Route {
    Route {
        trust,
        ..Route::new(
            format!("https://localhost:{}", address.port())
                .parse()
                .unwrap(),
        )
    }
}

/// A hub that shows `issued`, and the files that it has it from.
fn hub_with(issued: &Issued) -> (TestHub, Files) {
    let files = Files::new();
    issued.put(&files);
    let hub = TestHub::start_with(|config| {
        config.settings.tls.cert = Some(files.cert.clone());
        config.settings.tls.key = Some(files.key.clone());
    });
    (hub, files)
}

async fn dial(route: &Route) -> Result<HubClient, ClientError> {
    patient(HubClient::connect(route, Timeouts::default())).await
}

/// A client with a token of its own.
async fn registered(route: &Route, hub: &TestHub, project: &str) -> HubClient {
    let client = dial(route).await.unwrap();
    let project = project.parse().unwrap();
    let registration = patient(client.register(hub.admin_token(), &project)).await;
    client.with_token(registration.unwrap().token)
}

async fn publish(client: &HubClient, content: &str) -> Vec<Sequence> {
    let draft = EntryDraft::new(
        ctx_hub::types::EntryId::random().unwrap(),
        EntryType::Decision,
        content.to_owned(),
        0,
        EntryMeta::default(),
    );
    patient(client.publish(&[draft.unwrap()])).await.unwrap()
}

/// Why a hub is not trusted; no waiting may mend that.
fn distrust(error: ClientError) -> Distrust {
    assert_eq!(error.kind(), ClientErrorKind::Untrusted, "{error:?}");
    assert!(!error.is_retryable());
    assert!(error.hint().is_some());
    match error {
        ClientError::Untrusted { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

/// An address of this machine that others can reach, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: it only asks which way would be taken.
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

/// Tries everything that sends a token, and answers why each was not done.
async fn try_everything(route: &Route) -> Vec<ClientError> {
    let token = ClientToken::random().unwrap();
    let admin = AdminToken::random().unwrap();
    let mut errors = Vec::new();
    match dial(route).await {
        Err(error) => errors.push(error),
        Ok(client) => {
            let project = "p".parse().unwrap();
            errors.push(
                patient(client.register(&admin, &project))
                    .await
                    .unwrap_err(),
            );
        }
    }
    match HubClient::lazy(route, Timeouts::default()) {
        Err(error) => errors.push(error),
        Ok(client) => {
            let client = client.with_token(token);
            errors.push(patient(client.status()).await.unwrap_err());
            let types = TypeSet::all();
            let listened = patient(client.listen(&types, Sequence::START)).await;
            errors.push(listened.unwrap_err());
        }
    }
    let operator = patient(AdminClient::connect(route, admin, Timeouts::default())).await;
    match operator {
        Err(error) => errors.push(error),
        Ok(operator) => errors.push(patient(operator.hub_status()).await.unwrap_err()),
    }
    errors
}

#[tokio::test]
async fn a_man_in_the_middle_with_his_own_certificate_is_sent_nothing() {
    let (company, stranger) = (Authority::new("company"), Authority::new("stranger"));
    let real = company.issue("localhost");
    let fake = stranger.issue("localhost");
    for versions in [&[&TLS13], &[&TLS12]] {
        let man = Middleman::start(fake.signed_by(&fake), versions).await;
        for trust in [Trust::System, company.trusted(), real.pinned()] {
            let errors = try_everything(&by_name(man.address, trust.clone())).await;
            assert_eq!(man.heard(), b"", "he heard something");
            for error in errors {
                let why = distrust(error);
                let expected = match (&trust, &why) {
                    // A machine without any authority trusts nobody either.
                    (Trust::System, Distrust::NoAuthorities | Distrust::UnknownIssuer) => true,
                    (Trust::Authorities(_), Distrust::UnknownIssuer) => true,
                    (Trust::Pinned(_), Distrust::OtherFingerprint { pinned, found }) => {
                        *pinned == real.fingerprint() && *found == fake.fingerprint()
                    }
                    _ => false,
                };
                assert!(expected, "{trust:?}: {why:?}");
            }
        }
        assert!(man.dialled() >= 6, "{}", man.dialled());
    }
}

#[tokio::test]
async fn a_man_in_the_middle_who_shows_the_hub_s_own_certificate_without_its_key_is_sent_nothing() {
    let company = Authority::new("company");
    let (real, other) = (company.issue("localhost"), company.issue("localhost"));
    for versions in [&[&TLS13], &[&TLS12]] {
        let man = Middleman::start(real.signed_by(&other), versions).await;
        for trust in [company.trusted(), real.pinned()] {
            let errors = try_everything(&by_name(man.address, trust)).await;
            assert_eq!(man.heard(), b"", "he heard something");
            for error in errors {
                let why = distrust(error);
                assert!(matches!(why, Distrust::Certificate { .. }), "{why:?}");
            }
        }
        assert!(man.dialled() >= 4, "{}", man.dialled());
    }
}

#[tokio::test]
async fn a_certificate_that_is_wrong_in_one_respect_is_refused_for_that() {
    let company = Authority::new("company");
    let why = async |issued: &Issued| {
        let man = Middleman::start(issued.signed_by(issued), &[&TLS13]).await;
        let error = dial(&by_name(man.address, company.trusted()))
            .await
            .unwrap_err();
        assert_eq!(man.heard(), b"");
        distrust(error)
    };
    assert_eq!(
        why(&company.issue("hub.example.org")).await,
        Distrust::OtherName {
            host: "localhost".to_owned(),
            names: vec!["hub.example.org".to_owned()],
        }
    );
    let expired = company.issue_between("localhost", 2020, 2021);
    assert_eq!(why(&expired).await, Distrust::Expired);
    let early = company.issue_between("localhost", 2098, 2099);
    assert_eq!(why(&early).await, Distrust::NotYetValid);

    // Who pinned it has looked at it already, and at nothing else.
    let other_name = company.issue_between("hub.example.org", 2020, 2021);
    let (hub, _files) = hub_with(&other_name);
    let client = registered(&over_tls(hub.socket_addr(), other_name.pinned()), &hub, "p").await;
    assert_eq!(publish(&client, "pinned").await, [Sequence::new(1)]);
}

#[tokio::test]
async fn the_right_certificate_is_trusted_by_name_by_address_and_by_fingerprint() {
    let company = Authority::new("company");
    for (name, trusted) in [
        ("localhost", by_name as fn(SocketAddr, Trust) -> Route),
        ("127.0.0.1", over_tls),
    ] {
        let issued = company.issue(name);
        let (hub, _files) = hub_with(&issued);
        for (project, trust) in [("a", company.trusted()), ("b", issued.pinned())] {
            let client = registered(&trusted(hub.socket_addr(), trust), &hub, project).await;
            publish(&client, "hello").await;
        }
        let route = trusted(hub.socket_addr(), issued.pinned());
        let operator = AdminClient::connect(&route, hub.admin_token().clone(), Timeouts::default());
        let health = patient(patient(operator).await.unwrap().hub_status())
            .await
            .unwrap();
        assert!(health.encrypted);
        assert_eq!(health.fingerprint, Some(issued.fingerprint()));
        assert_eq!(health.certificate_expires_at, Some(4_070_908_800), "2099");
    }
}

#[tokio::test]
async fn behind_a_proxy_that_ends_tls_everything_works() {
    let company = Authority::new("company");
    let issued = company.issue("localhost");
    let hub = TestHub::start();
    let proxy = relay(issued.signed_by(&issued), hub.socket_addr()).await;
    let client = registered(&by_name(proxy, company.trusted()), &hub, "p").await;
    let types = TypeSet::all();
    let mut stream = patient(client.listen(&types, Sequence::START))
        .await
        .unwrap();
    publish(&client, "through the proxy").await;
    let entry = patient(stream.next()).await.unwrap().unwrap();
    assert_eq!(entry.content, "through the proxy");
}

#[tokio::test]
async fn beyond_this_machine_no_token_goes_into_the_clear() {
    let Some(own) = own_address() else {
        return;
    };
    let listener = std::net::TcpListener::bind((own, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    for text in [
        format!("{address}"),
        format!("http://{address}"),
        format!("grpc://{address}"),
    ] {
        let route = Route::new(text.parse().unwrap());
        for error in try_everything(&route).await {
            assert!(matches!(error, ClientError::Route(_)), "{error:?}");
            assert_eq!(error.kind(), ClientErrorKind::Untrusted);
        }
    }
    let dialled = listener.accept().unwrap_err();
    assert_eq!(
        dialled.kind(),
        std::io::ErrorKind::WouldBlock,
        "nobody came"
    );

    // What was allowed is done, so the silence above means something.
    let allowed = Route {
        insecure: true,
        ..Route::new(format!("http://{address}").parse().unwrap())
    };
    dial(&allowed).await.unwrap();
    listener.accept().unwrap();
}

#[tokio::test]
async fn who_does_not_speak_the_same_is_told_so_and_sent_nothing() {
    let issued = Authority::new("company").issue("localhost");
    let (encrypted, _files) = hub_with(&issued);
    let clear = TestHub::start();

    let route = over_tls(clear.socket_addr(), issued.pinned());
    for error in try_everything(&route).await {
        assert_eq!(distrust(error), Distrust::NotTls);
    }
    // On loopback, where a token may go in the clear.
    for error in try_everything(&encrypted.address().into()).await {
        assert_eq!(distrust(error), Distrust::Tls);
    }
}

/// Everything that comes until the connection is closed.
async fn answer_to(hub: &TestHub, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(hub.socket_addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // Closed with bytes unread is a reset, which is an end as well.
    patient(stream.read_to_end(&mut answer)).await.ok();
    answer
}

/// A `ClientHello` of TLS 1.1, which knows nothing newer.
fn hello_of_tls_1_1() -> Vec<u8> {
    // Version, random, no session, two suites with CBC, no compression.
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let mut hello = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    hello.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(hello.len()).unwrap()];
    record.extend(hello);
    record
}

#[tokio::test]
async fn what_does_not_begin_with_a_handshake_of_today_is_dropped() {
    let issued = Authority::new("company").issue("localhost");
    let (hub, _files) = hub_with(&issued);
    let mut plain = PREFACE.to_vec();
    plain.extend(call("/ctx.hub.v1.CtxHub/Status", Some("ctx_cli_0"), &[]));
    let zeros = vec![0; 70_000];
    let endless = [&[22, 3, 3, 0x40, 0][..], &[1; 0x4000]].concat();
    for bytes in [
        plain.as_slice(),
        b"GET / HTTP/1.1\r\nhost: hub\r\n\r\n",
        &zeros,
        &endless,
        &hello_of_tls_1_1(),
    ] {
        let answer = answer_to(&hub, bytes).await;
        // A fatal alert at most, and nothing of HTTP.
        assert!(
            answer.is_empty() || answer.starts_with(&[21, 3]),
            "{answer:?}"
        );
        assert!(answer.len() <= 7, "{answer:?}");
    }
    let refusal = answer_to(&hub, &hello_of_tls_1_1()).await;
    // handshake_failure or protocol_version, and fatal.
    assert!(
        matches!(refusal[..], [21, 3, _, 0, 2, 2, 40 | 70]),
        "{refusal:?}"
    );
    let route = over_tls(hub.socket_addr(), issued.pinned());
    registered(&route, &hub, "still-served").await;
}

#[tokio::test]
async fn another_certificate_takes_over_while_a_stream_stays_open() {
    let company = Authority::new("company");
    let (old, new) = (company.issue("localhost"), company.issue("localhost"));
    let (hub, files) = hub_with(&old);
    let first = registered(&by_name(hub.socket_addr(), old.pinned()), &hub, "first").await;
    let types = TypeSet::all();
    let mut stream = patient(first.listen(&types, Sequence::START))
        .await
        .unwrap();

    new.put(&files);
    let certificates = hub.certificates();
    assert!(certificates.reload().unwrap(), "it is another one");
    assert_eq!(certificates.fingerprint(), new.fingerprint());
    assert!(!certificates.reload().unwrap(), "it is the same");

    let error = dial(&by_name(hub.socket_addr(), old.pinned()))
        .await
        .unwrap_err();
    assert!(matches!(distrust(error), Distrust::OtherFingerprint { .. }));
    let second = registered(&by_name(hub.socket_addr(), new.pinned()), &hub, "second").await;
    publish(&second, "after the change").await;
    let entry = patient(stream.next()).await.unwrap().unwrap();
    assert_eq!(entry.content, "after the change");
}

#[tokio::test]
async fn a_half_written_pair_changes_nothing_and_the_whole_one_is_found() {
    let company = Authority::new("company");
    let (old, new) = (company.issue("localhost"), company.issue("localhost"));
    let (hub, files) = hub_with(&old);
    let certificates = hub.certificates();
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let pinned = over_tls(hub.socket_addr(), old.pinned());

    for (cert, key) in [
        (new.cert.clone(), old.key.clone()),
        (old.cert.clone(), new.key.clone()),
        (half(&new.cert), new.key.clone()),
        (new.cert.clone(), half(&new.key)),
        (String::new(), new.key.clone()),
        (new.cert.clone(), String::new()),
    ] {
        put(&files.cert, cert);
        put(&files.key, key);
        let error = certificates.reload().unwrap_err();
        assert!(error.hint().is_some(), "{error:?}");
        assert_eq!(certificates.fingerprint(), old.fingerprint());
        dial(&pinned).await.unwrap();
    }
    std::fs::remove_file(&files.key).unwrap();
    let error = certificates.reload().unwrap_err();
    assert!(matches!(error, TlsError::Missing { .. }), "{error:?}");

    // Nobody says anything from here on.
    new.put(&files);
    patient(async {
        while certificates.fingerprint() != new.fingerprint() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    dial(&over_tls(hub.socket_addr(), new.pinned()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_hub_that_others_can_reach_does_not_listen_in_the_clear() {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let any_v6 = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
    let temp = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(temp.path()).unwrap().join("data");
    for address in [Some(any), Some(any_v6), own_address()]
        .into_iter()
        .flatten()
    {
        let Ok(listener) = std::net::TcpListener::bind((address, 0)) else {
            continue;
        };
        let open = |change: fn(&mut HubConfig)| {
            let mut config = HubConfig::new(DataDir::new(&dir), VERSION);
            change(&mut config);
            Hub::open(config, listener.try_clone().unwrap())
        };
        let refused = open(|_| {}).await.unwrap_err();
        assert!(matches!(refused, HubError::Exposed { .. }), "{refused:?}");
        assert!(refused.hint().unwrap().contains("--insecure"));
        drop(open(|config| config.insecure = true).await.unwrap());
        let hub = open(|config| config.settings.tls.self_signed = true)
            .await
            .unwrap();
        assert!(hub.certificates().is_some());
    }
}
