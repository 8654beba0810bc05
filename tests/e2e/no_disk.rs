//! Assets come out of memory: what the workers ask of the kernel, as `strace` sees it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use http::Version;

use crate::harness::{
    Proxy, eventually,
    lines::Lines,
    note,
    setup::{SPA, Setup, folder_with_spa},
    signal,
};

/// Requests of each kind.
const ROUNDS: usize = 5;
const SIZES: [(&str, usize); 2] = [
    ("small-B1c2D3e4.js", 1 << 10),
    ("medium-B1c2D3e5.js", 64 << 10),
];

#[tokio::test]
async fn assets_are_answered_without_the_disk_and_as_they_were_compressed() {
    let dir = folder_with_spa();
    let assets = dir.path().join("www/assets");
    for (name, size) in SIZES {
        fs::write(assets.join(name), text(name, size)).unwrap();
        // What a client gets is told from what a compressor would make of the file.
        for coding in ["br", "zst", "gz"] {
            fs::write(
                assets.join(format!("{name}.{coding}")),
                text(coding, size / 3),
            )
            .unwrap();
        }
    }
    fs::write(assets.join("large.bin"), vec![7; 3 << 20]).unwrap();
    let proxy = Setup::new().route("/", SPA).start_in(dir).await;
    let assets = proxy.dir().join("www/assets");
    let www = proxy.dir().join("www").display().to_string();
    let mut sessions = [proxy.session().await, proxy.session2().await];
    let trace = Trace::attach(&proxy).await;
    for (session, version) in sessions.iter_mut().zip([Version::HTTP_11, Version::HTTP_2]) {
        for _ in 0..ROUNDS {
            for (name, _) in SIZES {
                for (accepted, suffix) in [
                    ("identity", ""),
                    ("br", ".br"),
                    ("zstd", ".zst"),
                    ("gzip", ".gz"),
                ] {
                    let request = proxy.request("GET", &format!("/assets/{name}"));
                    let request = request.version(version).header("accept-encoding", accepted);
                    let reply = session.send(request).await;
                    let ready = fs::read(assets.join(format!("{name}{suffix}"))).unwrap();
                    assert!(reply.status == 200 && reply.body == ready, "{name}{suffix}");
                }
            }
        }
    }
    let calls = trace.end().await;
    let sent = calls.iter().filter(|call| call.is_sending()).count();
    let requests = 2 * ROUNDS * SIZES.len() * 4;
    note(format!(
        "{requests} requests: {} calls, {sent} of them send",
        calls.len()
    ));
    assert!(
        sent >= requests,
        "the trace missed what was sent: {calls:?}"
    );
    let workers = workers(proxy.id());
    assert_eq!(workers.len(), 2, "the workers are known by their names");
    let of_workers = calls.iter().filter(|call| call.is_of(&workers));
    let files: Vec<_> = of_workers.filter(|call| call.is_for_files()).collect();
    assert!(files.is_empty(), "{files:?}");
    // The control thread looks at the folder, and has nothing to read there.
    let reads: Vec<_> = calls.iter().filter(|call| call.is_reading(&www)).collect();
    assert!(reads.is_empty(), "{reads:?}");

    // That the trace would have shown it.
    let trace = Trace::attach(&proxy).await;
    assert_eq!(proxy.get("/assets/large.bin").await.body.len(), 3 << 20);
    let calls = trace.end().await;
    assert!(calls.iter().any(|call| call.is_reading(&www)), "{calls:?}");
}

fn text(word: &str, size: usize) -> String {
    let mut text = format!("// {word} ").repeat(size / word.len());
    text.truncate(size);
    text
}

/// `strace` on every thread of a proxy.
struct Trace {
    strace: Child,
    said: Lines,
    file: PathBuf,
}

/// A line of `strace -f -yy`: a thread, a call with its arguments, the result.
#[derive(Debug)]
struct Call(String);

impl Trace {
    async fn attach(proxy: &Proxy) -> Self {
        let file = proxy.dir().join("trace");
        let mut strace = Command::new("strace")
            .args(["-f", "-yy", "-s", "0", "-o"])
            .arg(&file)
            .args(["-p", &proxy.id().to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is installed: run ./scripts/setup");
        let said = Lines::follow(strace.stderr.take().unwrap());
        eventually("strace", async || {
            if let Some(status) = strace.try_wait().unwrap() {
                panic!(
                    "strace cannot attach ({status}); it needs ptrace (in a container: --cap-add SYS_PTRACE): {}",
                    said.all().join("\n")
                );
            }
            (said.count("attached") > 0).then_some(())
        })
        .await;
        Self { strace, said, file }
    }

    /// Detaches; what was called while it was attached.
    async fn end(mut self) -> Vec<Call> {
        signal(self.strace.id(), "INT");
        eventually("the end of strace", async || {
            self.strace.try_wait().unwrap()
        })
        .await;
        assert_eq!(self.said.count("denied"), 0, "{:?}", self.said.all());
        let trace = fs::read_to_string(&self.file).unwrap();
        trace.lines().map(|line| Call(line.to_owned())).collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

impl Call {
    /// `read` of `1234  read(5<TCP:[...]>, ...) = 7`, nothing where a call is resumed.
    fn name(&self) -> &str {
        let call = self.0.split_once(' ').map_or("", |(_, call)| call.trim());
        call.split_once('(').map_or("", |(name, _)| name)
    }

    fn is_of(&self, threads: &[String]) -> bool {
        let thread = self.0.split(' ').next().unwrap_or_default();
        threads.iter().any(|it| it == thread)
    }

    /// A file below a folder is opened, or read.
    fn is_reading(&self, folder: &str) -> bool {
        let starts = ["open", "read", "pread", "sendfile", "splice", "mmap"];
        let reads = starts.iter().any(|start| self.name().starts_with(start));
        let is_folder = self.0.contains("O_DIRECTORY") || self.name() == "readlink";
        reads && !is_folder && self.0.contains(folder)
    }

    fn is_sending(&self) -> bool {
        let is_send = matches!(self.name(), "sendto" | "sendmsg" | "write" | "writev");
        is_send && self.0.contains("<TCP")
    }

    /// Paths, metadata and contents of files; whatever else reads has to read a socket, an event or
    /// a pipe.
    fn is_for_files(&self) -> bool {
        let name = self.name();
        let by_path = [
            "open", "stat", "access", "readlink", "getdents", "getcwd", "chdir",
        ];
        let by_content = [
            "pread",
            "preadv",
            "sendfile",
            "splice",
            "copy_file_range",
            "fadvise",
            "readahead",
        ];
        let reads = matches!(name, "read" | "readv");
        let known = ["<TCP", "<UNIX", "<anon_inode:", "<pipe:", "<socket:"];
        by_path.iter().any(|part| name.contains(part))
            || by_content.iter().any(|start| name.starts_with(start))
            || reads && !known.iter().any(|kind| self.0.contains(kind))
    }
}

/// Ids of the threads that serve.
fn workers(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(Path::new("/proc").join(process.to_string()).join("task")).unwrap();
    let is_worker = |task: &PathBuf| {
        fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("worker-"))
    };
    let tasks = tasks.map(|task| task.unwrap().path()).filter(is_worker);
    tasks
        .map(|task| task.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}
