//! What pages and scripts are told.

use super::*;

fn of(values: &[(&str, &str)]) -> Environment {
    let owned = values.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    Environment::new(owned.collect())
}

fn page(environment: &Environment, html: &str) -> String {
    String::from_utf8(environment.page(html.as_bytes()).into_owned()).unwrap()
}

const TOLD: &str = "<script>window.__ENV__=Object.freeze({\"X\":\"1\"})</script>";

#[test]
fn tells_a_page_behind_its_head_or_before_its_first_script() {
    let one = of(&[("X", "1")]);
    for (html, told) in [
        (
            "<!doctype html><html><head><meta>",
            "<!doctype html><html><head>@<meta>",
        ),
        (
            "<!-- <head> --><HEAD class='>'>\n",
            "<!-- <head> --><HEAD class='>'>@\n",
        ),
        (
            "<!doctype html><title><head></title><script>a</script>",
            "<!doctype html><title><head></title>@<script>a</script>",
        ),
        (
            "<script src=a></script><head>",
            "@<script src=a></script><head>",
        ),
        ("<header><p>", "<header><p>"),
        ("<p>text", "<p>text"),
        ("", ""),
    ] {
        assert_eq!(page(&one, html), told.replace('@', TOLD), "{html}");
    }
}

#[test]
fn nothing_closes_the_script() {
    let hostile = "</script><!--\u{2028}\u{2029}\"'\\`${1}&\n\0";
    let told = page(&of(&[("A", hostile), ("B", "ü")]), "<head>");
    let json = told
        .strip_prefix("<head><script>window.__ENV__=Object.freeze(")
        .and_then(|rest| rest.strip_suffix(")</script>"))
        .unwrap();
    assert!(
        !json.contains(['<', '>', '&', '\'', '`', '$', '\u{2028}', '\n']),
        "{json}"
    );
    let read: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(read["A"], hostile);
    assert_eq!(read["B"], "ü");
}

#[test]
fn values_are_written_as_the_place_wants_them() {
    let all = of(&[("X", "a'\"<&\\`$ b"), ("X_Y", "two")]);
    let filled = page(
        &all,
        "<p title='%X%' id=%X_Y%>%X%</p><style>%X%</style><script>'%X%'</script>\
         <script type=application/json>\"%X%\"</script>%X",
    );
    let html = "a&#39;&#34;&#60;&#38;\\&#96;$&#32;b";
    let script = "a\\u0027\\u0022\\u003c\\u0026\\u005c\\u0060\\u0024 b";
    let (before, after) = filled.split_once("</style>").unwrap();
    assert_eq!(
        before,
        format!("<p title='{html}' id=two>{html}</p><style>%X%")
    );
    assert!(
        after.ends_with(&format!(
            "<script>'{script}'</script><script type=application/json>\"{script}\"</script>%X"
        )),
        "{after}"
    );
}

#[test]
fn what_is_not_on_the_list_stays() {
    let one = of(&[("X", "%X% %HOME%")]);
    for text in ["%HOME%", "100% of %x%", "%X", "%", "a%20b%XY%", "%%", ""] {
        let kept = one.replace(text.as_bytes(), escape_script);
        assert!(matches!(kept, Cow::Borrowed(_)), "{text}");
    }
    let once = one.replace(b"%%X%X%", escape_script);
    assert_eq!(&*once, b"%%X% %HOME%X%", "a value is not read again");
}

#[test]
fn finds_the_file_that_a_page_demands_the_bytes_of() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("assets")).unwrap();
    std::fs::write(dir.path().join("assets/a.js"), "'%X%'").unwrap();
    let options = crate::assets::Options {
        environment: of(&[("X", "1")]),
        ..crate::assets::Options::default()
    };
    let store = crate::assets::Store::open(dir.path(), options).unwrap();
    let release = store.release();
    let content = release.file("assets/a.js").unwrap().identity().clone();
    let filled = HashMap::from([("assets/a.js", content)]);
    for reference in [
        "/assets/a.js",
        "./assets/a.js?v=1",
        "/app/assets/a.js",
        "assets/a.js",
    ] {
        assert_eq!(
            named_by(reference.as_bytes(), &filled),
            Some("assets/a.js"),
            "{reference}"
        );
    }
    assert_eq!(named_by(b"/a.js", &filled), None);
}

proptest::proptest! {
    #[test]
    fn a_page_keeps_what_it_had(html in "(<|>|/|=|\"|'|-|!|%X%|%|script|style|head|a| ){0,40}") {
        let told = page(&of(&[("X", "1")]), &html);
        proptest::prop_assert_eq!(told.replacen(TOLD, "", 1).replace("%X%", "1"), html.replace("%X%", "1"));
    }
}
