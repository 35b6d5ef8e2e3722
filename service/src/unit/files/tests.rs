use super::*;

const PROGRAMS: [Program; 3] = [Program::Distributor, Program::Publisher, Program::Agent];

fn standard(program: Program) -> Layout {
    let executable = PathBuf::from(format!("/usr/bin/{}", program.name()));
    Layout::new(program, &executable, Path::new(program.standard_home())).unwrap()
}

fn text_of(layout: &Layout, end: &str) -> String {
    let files = layout.files(Strict::Yes);
    files.into_iter().find(|file| file.path.ends_with(end)).map(|file| file.text).unwrap()
}

#[test]
fn a_program_where_a_package_lays_it_gets_the_units_as_they_stand_in_the_folder() {
    for program in PROGRAMS {
        let layout = standard(program);
        for (name, text) in program.units() {
            let head = format!("# Written by `{} install-service`, which replaces it. ", program.name());
            let written = text_of(&layout, name);
            assert!(written.starts_with(&head), "{written}");
            assert_eq!(written.split_once('\n').unwrap().1, *text);
        }
    }
}

#[test]
fn another_executable_and_another_home_stand_in_every_line_that_names_them() {
    for program in PROGRAMS {
        let executable = PathBuf::from(format!("/usr/local/bin/{}", program.name()));
        let layout = Layout::new(program, &executable, Path::new("/srv/other")).unwrap();
        for file in layout.files(Strict::No) {
            let text = file.text;
            assert!(!text.contains(program.standard_home()), "{text}");
            assert!(!text.contains("StateDirectory"), "{text}");
            assert!(!text.contains(&format!("/usr/bin/{}", program.name())), "{text}");
            if file.path.extension().is_some_and(|end| end == "service") {
                assert!(
                    text.contains(&format!("ExecStart={} --home /srv/other ", executable.display())),
                    "{text}"
                );
                // The agent's unit has no view of the files of its own: its products would have it too.
                let is_confined = text.contains("\nReadWritePaths=/srv/other\n");
                assert_eq!(is_confined, program != Program::Agent, "{text}");
            }
        }
    }
    let layout =
        Layout::new(Program::Agent, Path::new("/usr/bin/agent-updater"), Path::new("/srv/other")).unwrap();
    assert!(text_of(&layout, "strict.conf").contains("\nReadWritePaths=/srv/other\n"));
}

/// Its hooks' own ends are the agent's business: it ends what of them is to end.
#[test]
fn no_stop_or_restart_of_the_agent_reaches_a_product_that_a_hook_started() {
    let layout = standard(Program::Agent);
    let unit = text_of(&layout, "sealpost-agent.service");
    let said: Vec<&str> = unit.lines().filter(|line| line.starts_with("KillMode=")).collect();
    assert_eq!(said, ["KillMode=process"]);
    for other in ["KillSignal=", "FinalKillSignal=", "SendSIGHUP=", "ExecStopPost="] {
        assert!(!unit.contains(other), "{other}");
    }
    assert!(!text_of(&layout, "strict.conf").contains("Kill"));
}

#[test]
fn what_a_unit_would_misread_or_hide_from_its_service_is_refused() {
    let program = Path::new("/usr/bin/distributor");
    let of = |program: &Path, home: &str| Layout::new(Program::Distributor, program, Path::new(home));
    for home in
        ["relative", "/srv/with space", "/srv/100%", "/srv/a\nUser=root", "/srv/../etc", "/", "/srv/ü"]
    {
        assert!(matches!(of(program, home), Err(LayoutError::Unnameable(_))), "{home}");
    }
    for hidden in HIDDEN {
        let refusal = of(program, &format!("{hidden}/site")).unwrap_err().to_string();
        assert!(refusal.contains("choose a home below /var/lib"), "{refusal}");
    }
    let own = Path::new(HIDDEN[0]).join("distributor");
    let refusal = of(&own, "/srv/site").unwrap_err().to_string();
    assert!(refusal.contains("copy the program to /usr/local/bin"), "{refusal}");
    assert!(
        Layout::new(Program::Agent, Path::new("/opt/agent"), &Path::new(HIDDEN[0]).join("agent")).is_ok()
    );
}

#[test]
fn a_path_is_not_replaced_inside_a_longer_name() {
    let line = "a /var/lib/sealpost b /var/lib/sealpost-agent c /var/lib/sealpost/x";
    assert_eq!(
        replace_path(line, "/var/lib/sealpost", "/srv/s"),
        "a /srv/s b /var/lib/sealpost-agent c /srv/s/x"
    );
}

#[test]
fn only_the_agent_can_be_confined_further_and_only_when_asked() {
    for program in PROGRAMS {
        let layout = standard(program);
        let more = layout.files(Strict::Yes).len() - layout.files(Strict::No).len();
        assert_eq!(more, usize::from(program == Program::Agent));
    }
}

#[test]
fn a_folder_with_something_else_in_it_is_no_home_of_a_service() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("srv/other");
    for program in PROGRAMS {
        let executable = PathBuf::from(format!("/usr/local/bin/{}", program.name()));
        let layout = Layout::new(program, &executable, Path::new("/srv/other")).unwrap();
        let is_taken = || layout.check_home(root.path()).is_ok();
        assert!(is_taken(), "it is not there");
        fs::create_dir_all(home.join("lost+found")).unwrap();
        assert!(is_taken(), "it is empty");
        fs::write(home.join("passwd"), "").unwrap();
        assert_eq!(is_taken(), program == Program::Agent, "the agent's unit gives nothing away");
        let sign = home.join(program.sign_of_a_home());
        fs::create_dir_all(sign.parent().unwrap()).unwrap();
        fs::write(sign, "").unwrap();
        assert!(is_taken(), "it is a home");
        fs::remove_dir_all(&home).unwrap();
    }
}
