//! The shipped file keeps every rule, and each rule is one that can be broken.

use super::*;
use crate::inf::{Stamp, stamp};

const INX: &str = include_str!("../../../../inf/tollgate.inx");

fn problems_of(inx: &str, arch: Arch) -> Vec<String> {
    let text = stamp(
        inx,
        &Stamp {
            arch,
            date: (2026, 11, 23),
            version: "0.1.0.0".into(),
        },
    )
    .expect("stamped");
    problems_of_inf(&text, arch)
}

fn problems_of_inf(text: &str, arch: Arch) -> Vec<String> {
    let files = ["tollgate.sys", "tollgate.cat", "tollgate.inf"]
        .map(str::to_owned)
        .into();
    let inf = match Inf::parse(text) {
        Ok(inf) => inf,
        Err(problems) => return problems,
    };
    check(
        &inf,
        &Context {
            arch,
            files: &files,
            version: "0.1.0.0",
        },
    )
}

#[test]
fn the_shipped_file_keeps_every_rule_on_both_machines() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        assert_eq!(problems_of(INX, arch), Vec::<String>::new());
    }
}

/// What is done to the shipped file, and what must be said of it.
const BROKEN: &[(&str, &str, &str)] = &[
    // [Version]
    ("\"$Windows NT$\"", "\"Windows 95\"", "Signature"),
    ("= WFPCALLOUTS", "= System", "Class"),
    ("{57465043-", "{57465044-", "ClassGuid"),
    ("= %Provider%", "= Tollgate", "cannot be translated"),
    ("\"Tollgate project\"", "\"Microsoft\"", "1204"),
    ("= tollgate.cat", "= tollgate.txt", "1214"),
    (
        "= tollgate.cat",
        "= other.cat",
        "other.cat is not in the package",
    ),
    ("PnpLockdown = 1", "PnpLockdown = 0", "PnpLockdown"),
    ("PnpLockdown = 1", "", "no PnpLockdown"),
    (
        "PnpLockdown = 1",
        "PnpLockdown = 1\nPnpLockdown = 1",
        "1088",
    ),
    (
        "PnpLockdown = 1",
        "PnpLockdown = 1\nLayoutFile = a.inf",
        "LayoutFile",
    ),
    // Directories and files.
    ("DefaultDestDir = 13", "DefaultDestDir = 12", "1322"),
    ("DefaultDestDir = 13", "DefaultDestDir = 13,sub", "1100"),
    ("DefaultDestDir = 13", "", "no DefaultDestDir"),
    ("1 = %DiskName%", "2 = %DiskName%", "1273"),
    ("tollgate.sys = 1", "other.sys = 1", "1230"),
    (
        "tollgate.sys = 1",
        "tollgate.sys = 1\ntollgate.cat = 1",
        "1213",
    ),
    (
        "tollgate.sys = 1",
        "tollgate.sys = 1\nmore.sys = 1",
        "nothing copies more.sys",
    ),
    (
        "[Tollgate.Files]\ntollgate.sys",
        "[Tollgate.Files]\na.sys,tollgate.sys",
        "1100",
    ),
    (
        "[Tollgate.Files]\ntollgate.sys",
        "[Tollgate.Files]\ngone.sys",
        "gone.sys is not in the package",
    ),
    // Sections and what leads to them.
    ("[DefaultInstall.NT$ARCH$]", "[DefaultInstall]", "1421"),
    (
        "[DefaultInstall.NT$ARCH$]",
        "[DefaultInstall.NTx86]",
        "no [DefaultInstall.NT",
    ),
    (
        "[DefaultInstall.NT$ARCH$.Services]",
        "[DefaultInstall.Services]",
        ".Services]",
    ),
    (
        "CopyFiles  = Tollgate.Files",
        "CopyFiles  = Tollgate.File",
        "no [Tollgate.File]",
    ),
    ("CopyFiles  = Tollgate.Files", "", "2083"),
    (
        "CopyFiles  = Tollgate.Files",
        "CopyFiles  = Tollgate.Files\nDelFiles = Tollgate.Files",
        "/u",
    ),
    (
        "CopyFiles  = Tollgate.Files",
        "CopyFiles  = Tollgate.Files\nRegisterDlls = Tollgate.Files",
        "/u",
    ),
    (
        "[Strings]",
        "[Manufacturer]\n%Provider% = Tollgate\n[Strings]",
        "1420",
    ),
    (
        "[Strings]",
        "[ClassInstall32.NT$ARCH$]\n[Strings]",
        "[ClassInstall32",
    ),
    (
        "[Strings]",
        "[DefaultInstall.NT$ARCH$.CoInstallers]\n[Strings]",
        "CoInstallers",
    ),
    (
        "[Strings]",
        "[DefaultInstall.NT$ARCH$.Wdf]\n[Strings]",
        "co-installer",
    ),
    ("[Strings]", "[Tollgate.Spare]\n[Strings]", "2083"),
    // Uninstalling.
    ("LegacyUninstall = 1", "", "1422"),
    (
        "LegacyUninstall = 1",
        "LegacyUninstall = 1\nDelFiles = Tollgate.Files",
        "/u",
    ),
    ("[DefaultUninstall.NT$ARCH$]", "[DefaultUninstall]", "1421"),
    (
        "DelService = tollgate,0x00000200",
        "DelService = tollgates,0x00000200",
        "uninstalling deletes",
    ),
    (
        "DelService = tollgate,0x00000200",
        "",
        "uninstalling deletes",
    ),
    (
        "DelService = tollgate,0x00000200",
        "DelService = tollgate",
        "without being stopped",
    ),
    // The service.
    (
        "AddService = tollgate,,Tollgate.Service",
        "AddService = tollgate,,Tollgate.Svc",
        "no [Tollgate.Svc]",
    ),
    (
        "AddService = tollgate,,Tollgate.Service",
        "AddService = tollgate,2,Tollgate.Service",
        "no flags",
    ),
    (
        "AddService = tollgate,,",
        "AddService = gate,,",
        "name is not tollgate",
    ),
    ("ServiceType   = 1", "ServiceType   = 16", "ServiceType"),
    ("ServiceType   = 1", "", "ServiceType"),
    ("StartType     = 3", "StartType     = 0", "StartType"),
    ("ErrorControl  = 1", "ErrorControl  = 3", "ErrorControl"),
    (r"%13%\tollgate.sys", r"%12%\tollgate.sys", "2085"),
    (r"%13%\tollgate.sys", r"%13%\other.sys", "2084"),
    (
        "Dependencies  = Tcpip",
        "Dependencies  = BFE",
        "Dependencies",
    ),
    ("D:P(", "D:(", "D:P"),
    ("CCLCSWLORC;;;AU", "CCLCSWRPLORC;;;AU", "more than look"),
    ("(A;;GA;;;SY)", "", "in control"),
    ("(A;;GA;;;SY)", "(D;;GA;;;SY)", "not understood"),
    // Its parameters.
    (
        "AddReg        = Tollgate.Parameters",
        "AddReg        = Tollgate.Parameter",
        "no [Tollgate.Parameter]",
    ),
    (
        "HKR,Parameters,QueuePackets",
        "HKLM,Parameters,QueuePackets",
        "1321",
    ),
    ("HKR,Parameters,QueuePackets", "HKR,,QueuePackets", "1323"),
    (
        "QueuePackets,0x00010003",
        "QueuePackets,0x00010001",
        "leaves alone",
    ),
    ("0x00010003,4096", "0x00010003,many", "no number"),
    ("0x00010003,4096", "0x00010003", "five fields"),
    // Strings.
    ("%ServiceName%", "%ServiceNme%", "1235"),
    ("= \"Tollgate\"", "= \"\"", "is empty"),
    ("[Strings]", "[Strings]\nSpare = \"x\"", "nothing uses"),
];

#[test]
fn each_rule_finds_the_file_that_breaks_it() {
    for (from, to, expected) in BROKEN {
        assert!(
            INX.contains(from),
            "the shipped file has no {from:?} any more"
        );
        let problems = problems_of(&INX.replace(from, to), Arch::X86_64).join("\n");
        assert!(
            problems.contains(expected),
            "{from:?} -> {to:?}: {expected:?} is not in:\n{problems}"
        );
    }
}

#[test]
fn a_file_stamped_for_the_other_machine_does_not_pass() {
    let text = stamp(
        INX,
        &Stamp {
            arch: Arch::Aarch64,
            date: (2026, 11, 23),
            version: "0.1.0.0".into(),
        },
    )
    .unwrap();
    let problems = problems_of_inf(&text, Arch::X86_64).join("\n");
    assert!(
        problems.contains("no [DefaultInstall.NTamd64]"),
        "{problems}"
    );
    assert!(problems.contains("2083"), "{problems}");
}

#[test]
fn a_driver_ver_that_windows_or_the_image_would_not_have_is_found() {
    for (date, version, expected) in [
        ((2026, 13, 1), "0.1.0.0", "mm/dd/yyyy"),
        ((2026, 1, 1), "0.1.0", "1217"),
        ((2026, 1, 1), "0.1.0.65536", "1217"),
        ((2026, 1, 1), "0.2.0.0", "the image 0.1.0.0"),
    ] {
        let text = stamp(
            INX,
            &Stamp {
                arch: Arch::X86_64,
                date,
                version: version.into(),
            },
        )
        .unwrap();
        let problems = problems_of_inf(&text, Arch::X86_64).join("\n");
        assert!(problems.contains(expected), "{problems}");
    }
}

/// The table at the top of src/parameters.rs is what a user is told; the INF writes the same defaults, and names no other value.
#[test]
fn the_parameters_are_those_that_the_driver_reads_with_the_defaults_it_has() {
    let documented = include_str!("../../../../src/parameters.rs");
    let inf = Inf::parse(INX).unwrap();
    let parameters = inf.section("Tollgate.Parameters").unwrap();
    assert_eq!(parameters.entries.len(), 3);
    for entry in &parameters.entries {
        let (name, value) = (entry.value(2), entry.value(4));
        let row = documented
            .lines()
            .find(|line| line.starts_with(&format!("//! | `{name}` | REG_DWORD |")))
            .unwrap_or_else(|| panic!("src/parameters.rs does not document {name}"));
        assert!(row.ends_with(&format!("| {value} |")), "{row}");
    }
}
