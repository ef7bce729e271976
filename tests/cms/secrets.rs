//! Passcodes and secrets of spaces, which a CMS gives away with the details, and its password.

use super::{
    site::{Site, octets_below},
    support::{binary::ran, simulators::Simulators},
};

#[test]
fn no_secret_is_in_anything_that_is_written() {
    const CANARY: &str = "k4n4rienv0gel";
    let toml = "[cms]\ndetails = true\n";
    let simulators = Simulators::start_with(&["--canary", CANARY], &["cms:spaces=30", "cms:echo-password"]);
    let site = Site::with(simulators, toml);
    let ran = ran(&mut site.place.command(&["-vv", "capture"])).expect(69);
    assert!(
        ran.stderr.contains("/api/v1/coSpaces/"),
        "the log says what was asked: {}",
        ran.stderr
    );
    let document = site.place.shown(&site.place.path().join(ran.stdout.trim_end()));
    assert!(
        document.to_string().contains("owner29@example.com"),
        "the details are there"
    );
    let passwords = ["CMS1", "CMS2"].map(|name| site.simulators.password(name));
    let secrets = [CANARY, &passwords[0], &passwords[1]];
    let mut written = octets_below(site.place.path());
    written.push(("stderr".to_owned(), ran.stderr.into()));
    assert!(written.len() > 4);
    for (place, octets) in written {
        let text = String::from_utf8_lossy(&octets);
        for secret in secrets {
            assert!(!text.contains(secret), "{place} has {secret}");
        }
    }
}
