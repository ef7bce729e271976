use super::*;

#[test]
fn inputs_are_read_and_what_is_none_is_refused() {
    assert_eq!(Input::parse("stdin"), Ok(Input::Stdin));
    assert_eq!(Input::parse("unix:/run/calls"), Ok(Input::Unix("/run/calls".into())));
    assert_eq!(
        Input::parse("status:[::1]:7000"),
        Ok(Input::Status("[::1]:7000".to_owned()))
    );
    for wrong in ["", "stdin:", "unix:", "unix:calls", "status:", "tcp:1", "STDIN"] {
        assert!(Input::parse(wrong).is_err(), "{wrong}");
    }
}
