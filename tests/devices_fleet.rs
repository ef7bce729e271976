//! Many devices in one capture: all of them in one document, only those that are asked for, and two hundred at once of
//! which some are broken.

mod support;

use std::{collections::BTreeSet, fs, time::Duration};

use support::{
    binary::Place,
    captured::{Shown, Site, document, private, watched},
    namespace, say,
    simulators::Simulators,
};

/// The names and values that LicenseTotals() of a simulated CUCM has, and what getNumDevices says of telephones.
const LICENCES: &[(&str, &str)] = &[
    ("CUWL Standard", "12"),
    ("EnhancedPlus", "34"),
    ("Enhanced", "410"),
    ("Basic", "57"),
    ("Essential", "9"),
    ("TelePresence Room", "3"),
    ("TotalUsers", "468"),
    ("TotalDevices", "525"),
];
const PHONES: &str = "525";
const SPACES: usize = 45;

/// Two CUCMs and two CMSs on the ports that they have in life, at two addresses.
fn two_sites() -> [Simulators; 2] {
    [("127.0.0.1", 1), ("127.0.0.2", 2)].map(|(address, number)| {
        Simulators::start_with(
            &["--listen", address, "--password", "a, \"password\""],
            &[
                &format!("cucm:port=8443,name=PUBLISHER{number}"),
                &format!("cms:port=443,name=BRIDGE{number},page=20,spaces={SPACES}"),
            ],
        )
    })
}

/// The list as the first user has it, and nothing else: no configuration, the authority in the system's store.
fn place(sites: &[Simulators; 2]) -> Place {
    let place = Place::new();
    private(
        &place.path().join("billing_config.csv"),
        "contract,target,local_or_rmote,ip_address,axlusr,axlpwd,serv_cnt\n\
         22222222,CUCM,local,127.0.0.1,billing,\"a, \"\"password\"\"\",PUBLISHER1\n\
         22222223,CUCM,remote,127.0.0.2,billing,\"a, \"\"password\"\"\",PUBLISHER2\n\
         77777777,CMS,local,127.0.0.1,billing,\"a, \"\"password\"\"\",BRIDGE1\n\
         77777778,CMS,remote,127.0.0.2,billing,\"a, \"\"password\"\"\",BRIDGE2\n",
    );
    let authorities = sites.each_ref().map(|site| fs::read_to_string(site.ca()).unwrap());
    fs::write(place.path().join("authorities.pem"), authorities.concat()).unwrap();
    place
}

fn asked(sites: &[Simulators; 2]) -> [usize; 4] {
    let count = |site: usize, name: &str| sites[site].requests(name).len();
    [
        count(0, "PUBLISHER1"),
        count(1, "PUBLISHER2"),
        count(0, "BRIDGE1"),
        count(1, "BRIDGE2"),
    ]
}

fn capture(place: &Place, arguments: &[&str]) -> Shown {
    let mut command = place.command(&[&["capture"], arguments].concat());
    command.env("SSL_CERT_FILE", place.path().join("authorities.pem"));
    let run = watched(&mut command);
    assert_eq!((run.ran.status, run.ran.stderr.as_str()), (0, ""), "{:?}", run.ran);
    let document = document(place);
    let shown = Shown::of(place, &document);
    fs::remove_file(document).unwrap();
    shown
}

fn has_all_of_cucm(shown: &Shown, name: &str) {
    let names = shown.values("LicenseUsage-Type", name, "licenseName");
    let values = shown.values("LicenseUsage-Type", name, "licenseValue");
    for (licence, value) in LICENCES {
        let at: Vec<usize> = (0..names.len()).filter(|at| names[*at] == *licence).collect();
        assert_eq!(at.len(), 1, "{name}: {licence}: {names:?}");
        assert_eq!(values[at[0]], *value, "{name}: {licence}");
    }
    let classes = shown.values("DeviceUsage-Type", name, "deviceClass");
    let counts = shown.values("DeviceUsage-Type", name, "deviceCount");
    let phones = classes.iter().position(|class| class == "Phone").unwrap();
    assert_eq!(counts[phones], PHONES, "{name}");
    assert_eq!(shown.status(name).state, "complete");
}

fn has_all_of_cms(shown: &Shown, name: &str) {
    let ids = shown.values("ConferenceSpace-Type", name, "coSpaceId");
    assert_eq!(ids.len(), SPACES, "{name}");
    assert_eq!(BTreeSet::from_iter(&ids).len(), SPACES, "{name}: {ids:?}");
    for kind in ["ConferenceSystem-Type", "ConferenceLicenseUsage-Type"] {
        assert_eq!(shown.records(kind, Some(name)).count(), 1, "{name}: {kind}");
    }
    assert_eq!(shown.status(name).state, "complete");
}

#[test]
fn one_document_has_all_of_two_cucms_and_two_cmss_and_the_flags_choose() {
    namespace::inside(
        &[],
        "one_document_has_all_of_two_cucms_and_two_cmss_and_the_flags_choose",
        |_| {
            namespace::ip("link set lo up");
            let sites = two_sites();
            let place = place(&sites);

            let both = capture(&place, &["--devusage", "--confspace"]);
            for name in ["PUBLISHER1", "PUBLISHER2"] {
                has_all_of_cucm(&both, name);
            }
            for name in ["BRIDGE1", "BRIDGE2"] {
                has_all_of_cms(&both, name);
            }
            assert_eq!(both.statuses().len(), 4);
            let record = both.records("LicenseUsage-Type", Some("PUBLISHER2")).next().unwrap();
            for (field, value) in [
                ("contract", "22222223"),
                ("target", "CUCM"),
                ("servCnt", "PUBLISHER2"),
                ("localOrRemote", "remote"),
                ("ipAddress", "127.0.0.2"),
            ] {
                assert_eq!(record[field], value, "{record}");
            }
            let all = asked(&sites);
            assert!(all.iter().all(|count| *count > 0), "{all:?}");

            let cucms = capture(&place, &["--devusage"]);
            let after = asked(&sites);
            assert!(after[0] > all[0] && after[1] > all[1], "{all:?} {after:?}");
            assert_eq!(after[2..], all[2..], "a CMS was asked");
            assert_eq!(cucms.statuses().len(), 2);
            has_all_of_cucm(&cucms, "PUBLISHER1");

            let cmss = capture(&place, &["--confspace"]);
            let last = asked(&sites);
            assert_eq!(last[..2], after[..2], "a CUCM was asked");
            assert!(last[2] > after[2] && last[3] > after[3]);
            assert_eq!(cmss.statuses().len(), 2);
            has_all_of_cms(&cmss, "BRIDGE2");

            place.configure("[[source]]\ntype = \"linux\"\nname = \"own\"\n");
            let everything = capture(&place, &[]);
            has_all_of_cucm(&everything, "PUBLISHER2");
            has_all_of_cms(&everything, "BRIDGE1");
            assert_eq!(everything.status("own").state, "complete");
            assert_eq!(everything.records("InterfaceUsage-Type", Some("own")).count(), 1);
            let without = capture(&place, &["--devusage", "--confspace"]);
            assert_eq!(without.statuses().len(), 4, "the linux source was not asked for");
        },
    );
}

#[test]
fn show_prints_the_usage_of_devices_as_tables() {
    let site = Site::new(&["cucm", "cms:spaces=3"], "");
    assert_eq!(site.run(&["capture", "--devusage", "--confspace"]).ran.status, 0);
    let document = site.document();
    let shown = site.place.run(&["show", document.to_str().unwrap()]).expect(0).stdout;
    for (licence, value) in LICENCES {
        let row = shown
            .lines()
            .find(|line| line.starts_with(licence) && line.ends_with(value));
        assert!(row.is_some(), "{licence}: {shown}");
    }
    let row = shown
        .lines()
        .find(|line| line.starts_with("Phone ") && line.ends_with(PHONES));
    assert!(row.is_some(), "{shown}");
    assert!(shown.contains("R&D Atrium 0"), "{shown}");
}

/// The limit is generous, so that a busy machine does not fail the test; the promise is about its multiple.
const LIMIT: Duration = Duration::from_secs(8);

#[test]
fn of_two_hundred_devices_eight_broken_ones_cost_the_others_nothing() {
    let site = Site::new(
        &[
            "3*cucm:dead",
            "cucm:hang",
            "96*cucm:answer-after=50ms",
            "2*cms:dead",
            "cms:hang",
            "cms:garbage=body",
            "96*cms:answer-after=50ms,retention=2h",
        ],
        &format!("timeout = \"{}s\"", LIMIT.as_secs()),
    );
    let run = site.run(&["capture", "--devusage", "--confspace"]);
    say(&format!(
        "200 devices, eight of them broken: {:.1} s with a limit of {LIMIT:?}, {} MiB",
        run.took.as_secs_f64(),
        run.memory >> 10
    ));
    assert_eq!(run.ran.status, 69, "{:?}", run.ran);
    assert!(run.took <= LIMIT + LIMIT / 2, "{:?}", run.took);
    assert!(run.memory < 100 << 10, "{} KiB", run.memory);

    let shown = Shown::of(&site.place, &site.document());
    let statuses = shown.statuses();
    let broken = ["CUCM1", "CUCM2", "CUCM3", "CUCM4", "CMS1", "CMS2", "CMS3", "CMS4"];
    let failed: Vec<&str> = statuses
        .iter()
        .filter(|status| status.state == "failed")
        .map(|status| status.name.as_str())
        .collect();
    assert_eq!(failed, broken);
    assert_eq!(statuses.len(), 200);
    for status in statuses.iter().filter(|status| !failed.contains(&status.name.as_str())) {
        assert_eq!(
            (status.state.as_str(), &status.reason),
            ("complete", &None),
            "{status:?}"
        );
        match status.name.starts_with("CUCM") {
            true => has_all_licences(&shown, &status.name),
            false => assert_eq!(shown.values("ConferenceSpace-Type", &status.name, "coSpaceId").len(), 8),
        }
    }

    let logs = site.place.path().join("logs");
    let errors = fs::read_to_string(logs.join("error.log")).unwrap();
    for name in broken {
        let told = errors.matches(&format!("source {name} failed: ")).count();
        assert_eq!(told, 1, "{name}: {errors}");
        assert!(
            shown
                .status(name)
                .reason
                .is_some_and(|reason| reason.starts_with(&site.about(name)))
        );
    }
    assert_eq!(errors.lines().count(), 8, "{errors}");
    let data = fs::read_to_string(logs.join("data.log")).unwrap();
    let last = data.lines().last().unwrap();
    assert!(
        last.contains("200 devices asked, 192 answered, 8 failed"),
        "the line at the end: {last}"
    );
}

fn has_all_licences(shown: &Shown, name: &str) {
    let names = shown.values("LicenseUsage-Type", name, "licenseName");
    assert!(
        LICENCES
            .iter()
            .all(|(licence, _)| names.iter().any(|name| name == licence))
    );
}
