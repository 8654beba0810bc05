//! Media types by extension: what builds emit and sites hold.

use http::HeaderValue;

/// Media type of a file; `application/octet-stream` for what is not known.
///
/// Text carries its charset. JSON has none by its definition (RFC 8259 section 11), and XML names
/// its own inside.
pub(super) fn of(name: &str) -> HeaderValue {
    let file = name.rsplit('/').next().unwrap_or(name);
    // iOS takes it as JSON alone, and it has no extension.
    if file == "apple-app-site-association" {
        return HeaderValue::from_static("application/json");
    }
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = by_extension(&extension.to_ascii_lowercase());
    HeaderValue::from_static(known.unwrap_or("application/octet-stream"))
}

/// Extensions of files that a build compressed.
const COMPRESSED: [&str; 3] = ["br", "gz", "zst"];

/// Whether it is a source map, also one that the build compressed.
pub fn is_source_map(name: &str) -> bool {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_compressed = COMPRESSED
        .iter()
        .any(|it| extension.eq_ignore_ascii_case(it));
    let file = if is_compressed { stem } else { name };
    file.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("map"))
}

/// Whether it is a page: something that a browser shows and runs scripts of.
pub(super) fn is_html(mime: &HeaderValue) -> bool {
    let mime = mime.as_bytes();
    mime.starts_with(b"text/html") || mime.starts_with(b"application/xhtml+xml")
}

/// Whether the file is of a kind that is told the environment.
pub(super) fn is_told(name: &str) -> bool {
    let mime = of(name);
    is_html(&mime) || is_script(&mime)
}

/// Whether it is JavaScript.
pub(super) fn is_script(mime: &HeaderValue) -> bool {
    mime.as_bytes().starts_with(b"text/javascript")
}

/// Whether it is text, or as good as text to a compressor.
pub(super) fn is_compressible(mime: &HeaderValue) -> bool {
    const OTHERS: [&[u8]; 14] = [
        b"application/json",
        b"application/manifest+json",
        b"application/ld+json",
        b"application/geo+json",
        b"application/wasm",
        b"application/xhtml+xml",
        b"application/xml",
        b"application/rss+xml",
        b"application/atom+xml",
        b"application/yaml",
        b"image/svg+xml",
        b"font/ttf",
        b"font/otf",
        b"model/gltf+json",
    ];
    let mime = mime.as_bytes();
    let kind = mime.split(|byte| *byte == b';').next().unwrap_or_default();
    kind.starts_with(b"text/") || OTHERS.contains(&kind)
}

fn by_extension(extension: &str) -> Option<&'static str> {
    text(extension)
        .or_else(|| image(extension))
        .or_else(|| media(extension))
        .or_else(|| other(extension))
}

fn text(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" | "cjs" => "text/javascript; charset=utf-8",
        "txt" | "text" | "log" | "conf" | "ini" => "text/plain; charset=utf-8",
        "md" | "markdown" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "tsv" => "text/tab-separated-values; charset=utf-8",
        "ics" => "text/calendar; charset=utf-8",
        "vcf" => "text/vcard; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        // The payloads of React server components, which Next exports beside its pages.
        "rsc" => "text/x-component; charset=utf-8",
        _ => return None,
    })
}

fn image(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "apng" => "image/apng",
        "jpg" | "jpeg" | "jfif" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "jxl" => "image/jxl",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "ktx2" => "image/ktx2",
        "ico" | "cur" => "image/x-icon",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        _ => return None,
    })
}

fn media(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "ogv" => "video/ogg",
        "mov" => "video/quicktime",
        "mkv" => "video/matroska",
        "avi" => "video/x-msvideo",
        "m3u8" => "application/vnd.apple.mpegurl",
        // Segments of HLS and DASH; nobody deploys TypeScript.
        "ts" => "video/mp2t",
        "m4s" => "video/iso.segment",
        "mpd" => "application/dash+xml",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "aac" => "audio/aac",
        "oga" | "ogg" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "weba" => "audio/webm",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "ttc" => "font/collection",
        "eot" => "application/vnd.ms-fontobject",
        "glb" => "model/gltf-binary",
        "gltf" => "model/gltf+json",
        "usdz" => "model/vnd.usdz+zip",
        "obj" => "model/obj",
        "stl" => "model/stl",
        _ => return None,
    })
}

fn other(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "jsonl" | "ndjson" => "application/x-ndjson",
        "json5" => "application/json5",
        "toml" => "application/toml",
        "pkpass" => "application/vnd.apple.pkpass",
        "jsonld" => "application/ld+json",
        "geojson" => "application/geo+json",
        "wasm" => "application/wasm",
        "xhtml" => "application/xhtml+xml",
        "xml" | "xsl" | "xsd" => "application/xml",
        "rss" => "application/rss+xml",
        "atom" => "application/atom+xml",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "rtf" => "application/rtf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "br" => "application/octet-stream",
        "zst" => "application/zstd",
        "tar" => "application/x-tar",
        "7z" => "application/x-7z-compressed",
        "bz2" => "application/x-bzip2",
        "epub" => "application/epub+zip",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "apk" => "application/vnd.android.package-archive",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_builds_emit() {
        for (name, mime) in [
            ("index.html", "text/html; charset=utf-8"),
            ("assets/index-DiwrgTda.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.js.map", "application/json"),
            ("manifest.webmanifest", "application/manifest+json"),
            ("a.WASM", "application/wasm"),
            ("a.avif", "image/avif"),
            ("a.svg", "image/svg+xml"),
            ("a.woff2", "font/woff2"),
            ("about.rsc", "text/x-component; charset=utf-8"),
            ("about.txt", "text/plain; charset=utf-8"),
            ("ngsw.json", "application/json"),
            ("hls/0001.ts", "video/mp2t"),
            (".well-known/apple-app-site-association", "application/json"),
            ("LICENSE", "application/octet-stream"),
            ("v1.2/LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(of(name), mime, "{name}");
        }
    }
}
