//! The link to Loki: a slow one, a name with a silent address, a name server that is gone.

use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;
use std::{fs, io, thread};

use crate::support::proxy::slow_link;
use crate::support::{Dir, Finished, Loki, LokiPush, in_time};

/// What a service prints: three levels, and texts that differ.
fn ordinary_lines(count: usize) -> String {
    let level = |n| match n % 20 {
        0 => "ERROR",
        1..4 => "WARN",
        _ => "INFO",
    };
    let line = |n: usize| {
        let id = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{} request served method=GET path=/cart/{} status=200 user={} trace={id:016x}\n",
            level(n),
            n % 97,
            n % 1013
        )
    };
    (0..count).map(line).collect()
}

fn over(port: u16, lines: &str) -> Finished {
    let run = LokiPush::at(format!("http://127.0.0.1:{port}")).summed();
    let run = run.args(["--timeout=500ms", "--flush-interval=1m"]);
    run.stdin_bytes(lines).run().expect(0)
}

#[test]
fn a_slow_link_carries_each_batch_once() {
    let lines = ordinary_lines(1_200);
    let loki = Loki::start();
    let quick = over(loki.port(), &lines).summary();
    let loki = Loki::start();
    let ended = over(slow_link(loki.port(), 10_000), &lines);
    let slow = ended.summary();
    assert!(
        ended.elapsed > Duration::from_millis(1_500),
        "{}",
        ended.report()
    );
    assert_eq!(slow.delivered, 1_200, "{}", ended.report());
    let sent = slow.bytes_sent as f64 / quick.bytes_sent as f64;
    assert!(sent <= 1.3, "{sent}: {}", ended.report());
    loki.assert_clean();
    assert_eq!(loki.lines().len(), 1_200, "{}", ended.report());
}

/// A listener whose queue is full: it answers nothing to whoever connects.
struct Silent {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        rustix::net::listen(&listener, 0).expect("a short queue");
        let address = listener.local_addr().expect("an address");
        let brief = Duration::from_millis(200);
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, brief) {
            queue.push(stream);
        }
        Self {
            listener,
            _queue: queue,
        }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().expect("an address").port()
    }
}

#[test]
fn the_second_of_two_addresses_is_used_where_the_first_is_silent() {
    let (silent, loki) = (Silent::new(), Loki::start());
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, silent.port())) else {
        return;
    };
    let to = loki.port();
    thread::spawn(move || -> io::Result<()> {
        for client in listener.incoming() {
            let (client, server) = (client?, TcpStream::connect(("127.0.0.1", to))?);
            let (mut from, mut back) = (server.try_clone()?, client.try_clone()?);
            thread::spawn(move || io::copy(&mut from, &mut back));
            let (mut client, mut server) = (client, server);
            thread::spawn(move || io::copy(&mut client, &mut server));
        }
        Ok(())
    });
    let url = format!("http://localhost:{}", silent.port());
    // The start of an unoptimised program on a busy machine is in it; a connection that waits for
    // the first address takes seconds.
    in_time(Duration::from_millis(1_000), || {
        let run = LokiPush::at(&url).args(["-m", "x"]);
        run.run().expect(0).expect_silence().elapsed
    });
    loki.assert_clean();
}

#[test]
fn a_name_that_cannot_be_looked_up_any_more_keeps_its_address() {
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]);
        command
    };
    let can = unshare("mount --make-rprivate / 2>/dev/null").output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: only root can give a process hosts of its own");
        return;
    }
    let (loki, dir) = (Loki::start(), Dir::new());
    let hosts = dir.write("hosts", "127.0.0.1 loki.test\n");
    let run = LokiPush::at(format!("http://loki.test:{}", loki.port()));
    let run = run.args(["--flush-interval=10ms", "--retry-backoff=20ms"]);
    let run = run.in_shell(&format!(
        "exec unshare -m sh -c 'mount --make-rprivate / && mount --bind {} /etc/hosts && exec \"$@\"' sh \"$@\"",
        hosts.display()
    ));
    let mut run = run.stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_entries(1);
    fs::write(&hosts, "").expect("a file of ours");
    run.write("b\n");
    loki.wait_for_entries(2);
    // Every connection ends, and a new one needs the address again.
    loki.hang_up();
    run.write("c\n");
    loki.wait_for_entries(3);
    run.close_stdin();
    run.wait_to_end().expect(0);
    assert_eq!(loki.lines(), ["a", "b", "c"]);
}
