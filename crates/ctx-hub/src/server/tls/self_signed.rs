//! A certificate that the hub makes for itself, and keeps.
//!
//! Whoever pins its fingerprint pins this one certificate, so it lasts: it is valid for years, and
//! made anew only when it comes to its end, is damaged, or lacks a name that was asked for. Another
//! address to listen on is no reason; a pin does not look at names. The key stays when the
//! certificate is made anew, so that whoever trusts the old one with `--ca-cert` trusts the new one
//! too; whoever pinned the fingerprint has to be told the new one.

use std::net::IpAddr;

use camino::Utf8Path;
use ctx_config::limits;
use ctx_config::paths::{DataDir, PRIVATE_DIR_MODE, PRIVATE_FILE_MODE};
use ctx_io::{atomic, ensure_private_dir, process, read_optional_limited, read_private};
use jiff::Span;
use jiff::tz::TimeZone;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SerialNumber, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use zeroize::Zeroizing;

use super::error::TlsError;
use super::pair::Pair;
use crate::server::settings::tls::is_name;

/// Largest file that is read, in bytes; ours have less than two thousand.
const FILE_MAX_BYTES: u64 = 65_536;

/// Random bytes in a serial number, as many as authorities use.
const SERIAL_BYTES: usize = 16;

/// Names that this machine has for itself.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where it is kept, and for whom it is.
#[derive(Debug)]
pub(super) struct SelfSigned {
    dir: DataDir,
    /// Names that were asked for.
    asked: Vec<String>,
    /// Names that it gets besides when it is made.
    usual: Vec<String>,
}

impl SelfSigned {
    /// The certificate of a hub that listens on `address`, and also for the names in `asked`.
    pub(super) fn new(dir: &DataDir, asked: &[String], address: IpAddr) -> Self {
        let own = OWN_NAMES.map(str::to_owned).into_iter();
        let bound = (!address.is_unspecified()).then(|| address.to_canonical().to_string());
        let host = Some(process::host()).filter(|host| is_name(host));
        let mut usual: Vec<String> = own.chain(bound).chain(host).collect();
        usual.sort_unstable();
        usual.dedup();
        Self {
            dir: dir.clone(),
            asked: asked.to_vec(),
            usual,
        }
    }

    /// The certificate that is kept, or a new one; and what an operator should know about that.
    pub(super) fn load(
        &self,
        provider: &CryptoProvider,
        now: i64,
    ) -> Result<(Pair, Option<String>), TlsError> {
        ensure_private_dir(&self.dir.tls(), PRIVATE_DIR_MODE).map_err(TlsError::Folder)?;
        let (cert, key) = (self.dir.tls_cert(), self.dir.tls_key());
        let private = read_private(&key, FILE_MAX_BYTES).map_err(TlsError::Read)?;
        let kept = read_optional_limited(&cert, FILE_MAX_BYTES).map_err(TlsError::Read)?;
        let (private, why) = match (private.map(Zeroizing::new), kept) {
            (Some(private), Some(kept)) => {
                let pair = Pair::of((&cert, &kept), (&key, &private), provider);
                match self.reason(pair, now) {
                    Ok(pair) => return Ok((pair, None)),
                    Err(why) => (private, Some(why)),
                }
            }
            (Some(private), None) => (private, None),
            (None, kept) => {
                let why = kept.map(|_| "the key of the old one is gone".to_owned());
                (new_key(&key)?, why)
            }
        };
        let pair = self.make(&private, provider)?;
        let notice = why.map(|why| {
            format!(
                "made another certificate, because {why}; whoever pinned the old one needs the new \
                 fingerprint: `ctx connect move HUB --fingerprint {}`",
                pair.fingerprint
            )
        });
        Ok((pair, notice))
    }

    /// The pair when it can be used further, or why not.
    fn reason(&self, pair: Result<Pair, TlsError>, now: i64) -> Result<Pair, String> {
        let pair = pair.map_err(|error| format!("the old one is of no use ({error})"))?;
        if is_due(&pair, now) {
            return Err("the old one comes to its end".to_owned());
        }
        match self.asked.iter().find(|name| !pair.is_for(name)) {
            Some(name) => Err(format!("the old one is not for {name}")),
            None => Ok(pair),
        }
    }

    fn make(&self, private: &[u8], provider: &CryptoProvider) -> Result<Pair, TlsError> {
        let (cert, key) = (self.dir.tls_cert(), self.dir.tls_key());
        let text = String::from_utf8_lossy(private);
        let pair = KeyPair::from_pem(&text).map_err(TlsError::Make)?;
        let made = self.params()?.self_signed(&pair).map_err(TlsError::Make)?;
        let pem = made.pem();
        write(&cert, pem.as_bytes())?;
        Pair::of((&cert, pem.as_bytes()), (&key, private), provider)
    }

    fn params(&self) -> Result<CertificateParams, TlsError> {
        let mut names = self.usual.clone();
        names.extend_from_slice(&self.asked);
        names.sort_unstable();
        names.dedup();
        let mut params = CertificateParams::new(names).map_err(TlsError::Make)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "ctx hub");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let mut serial = [0; SERIAL_BYTES];
        getrandom::fill(&mut serial).map_err(TlsError::Random)?;
        // Positive and of full length, whatever the bytes are.
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        let day = |from_now| {
            let day = today.saturating_add(Span::new().days(from_now));
            let [month, day_of_month] = [day.month(), day.day()].map(i8::unsigned_abs);
            date_time_ymd(day.year().into(), month, day_of_month)
        };
        // A clock that is behind may already use it.
        params.not_before = day(-1);
        params.not_after = day(limits::SELF_SIGNED_DAYS);
        Ok(params)
    }
}

/// Whether it is time for another certificate.
pub(super) fn is_due(pair: &Pair, now: i64) -> bool {
    pair.expires_at.saturating_sub(now) < limits::SELF_SIGNED_RENEW_DAYS.saturating_mul(86_400)
}

fn new_key(path: &Utf8Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Make)?;
    let pem = Zeroizing::new(key.serialize_pem().into_bytes());
    write(path, &pem)?;
    Ok(pem)
}

fn write(path: &Utf8Path, text: &[u8]) -> Result<(), TlsError> {
    let mode = atomic::Mode::Exactly(PRIVATE_FILE_MODE);
    atomic::write(path, text, mode).map_err(TlsError::Write)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::crypto::ring;

    use super::*;

    struct Place {
        _temp: tempfile::TempDir,
        dir: DataDir,
    }

    impl Place {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            let dir = DataDir::new(Utf8Path::from_path(temp.path()).unwrap());
            Self { _temp: temp, dir }
        }

        /// What a start at `now` on `address` with `--tls-name` for each of `asked` shows.
        fn start(&self, asked: &[&str], address: &str, now: i64) -> (Pair, Option<String>) {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            let own = SelfSigned::new(&self.dir, &asked, address.parse().unwrap());
            own.load(&ring::default_provider(), now).unwrap()
        }
    }

    fn now() -> i64 {
        jiff::Timestamp::now().as_second()
    }

    #[test]
    fn the_certificate_stays_from_start_to_start_wherever_the_hub_listens() {
        let place = Place::new();
        let (first, said) = place.start(&["hub.example.org"], "10.0.0.7", now());
        assert_eq!(said, None, "a first one surprises nobody");
        for name in [
            "localhost",
            "127.0.0.1",
            "::1",
            "10.0.0.7",
            "hub.example.org",
        ] {
            assert!(first.is_for(name), "{name}");
        }
        assert!(!first.is_for("example.org"));
        assert!(!first.is_for("10.0.0.8"));
        for (asked, address) in [
            (&["hub.example.org"][..], "10.0.0.7"),
            (&[], "10.0.0.8"),
            (&[], "0.0.0.0"),
        ] {
            let (again, said) = place.start(asked, address, now());
            assert_eq!((again.fingerprint, said), (first.fingerprint.clone(), None));
        }
    }

    #[test]
    fn only_its_owner_may_read_what_is_kept() {
        let place = Place::new();
        place.start(&[], "127.0.0.1", now());
        for (path, mode) in [
            (place.dir.tls(), 0o700),
            (place.dir.tls_key(), 0o600),
            (place.dir.tls_cert(), 0o600),
        ] {
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o7777, mode, "{path}");
        }
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(place.dir.tls_key(), open).unwrap();
        let own = SelfSigned::new(&place.dir, &[], "127.0.0.1".parse().unwrap());
        let refused = own.load(&ring::default_provider(), now()).unwrap_err();
        assert!(refused.hint().unwrap().contains("chmod"), "{refused:?}");
    }

    #[test]
    fn another_one_is_made_for_a_reason_which_is_said_and_with_the_same_key() {
        let place = Place::new();
        let (first, _) = place.start(&[], "127.0.0.1", now());
        let key = || std::fs::read(place.dir.tls_key()).unwrap();
        let before = key();
        let year = 365 * 86_400;
        let changed = |said: Option<String>, why: &str, pair: &Pair| {
            let said = said.unwrap();
            assert!(said.contains(why), "{said}");
            assert!(said.contains(pair.fingerprint.as_str()), "{said}");
        };

        let (same, _) = place.start(&[], "127.0.0.1", now() + 9 * year);
        assert_eq!(
            same.fingerprint, first.fingerprint,
            "nine years are not too long"
        );
        let (next, said) = place.start(&[], "127.0.0.1", first.expires_at - 86_400);
        changed(said, "comes to its end", &next);
        let (named, said) = place.start(&["hub"], "127.0.0.1", now());
        changed(said, "is not for hub", &named);
        let cut = atomic::Mode::Exactly(0o644);
        atomic::write(&place.dir.tls_cert(), b"cut short", cut).unwrap();
        let (mended, said) = place.start(&[], "127.0.0.1", now());
        changed(said, "is of no use", &mended);
        assert_eq!(key(), before, "the key stays");

        fs_err::remove_file(place.dir.tls_cert()).unwrap();
        let (_, said) = place.start(&[], "127.0.0.1", now());
        assert_eq!(said, None, "as after a start that was killed");
        std::fs::remove_file(place.dir.tls_key()).unwrap();
        let (renewed, said) = place.start(&[], "127.0.0.1", now());
        changed(said, "the key of the old one is gone", &renewed);
        assert_ne!(key(), before);
    }
}
