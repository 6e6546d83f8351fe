# cpu.sh - whose CPU time a request takes, with a tunnel and without: what the
# ratios of tests/bench/run come from.  Sourced by it: the functions and
# variables of run are known here.
# shellcheck shell=bash disable=SC2154

# utime + stime of processes and their children, in clock ticks
ticks_of() { # pid ...
	local pid total=0 stat
	for pid in "$@" $(pgrep -d ' ' -P "$(IFS=,; echo "$*")"); do
		stat=$(sed 's/.*) //' "/proc/$pid/stat") || continue
		# shellcheck disable=SC2086  # words
		set -- $stat
		total=$((total + ${12} + ${13}))
	done
	echo "$total"
}

# Of all cores: what was busy, or idle.
machine_ticks() { # busy or idle
	awk -v what="$1" '/^cpu / {
		idle = $5 + $6
		busy = $2 + $3 + $4 + $7 + $8
		print what == "idle" ? idle : busy
	}' /proc/stat
}

# web server, backend, worker, Redis, agent, everything, idle
cpu_snapshot() { # pid of the web server
	echo "$(ticks_of "$1") $(ticks_of "$pid_nginx")" \
	    "$(ticks_of "$pid_worker") $(ticks_of "$pid_redis")" \
	    "$(ticks_of "$agent_pid") $(machine_ticks busy)" \
	    "$(machine_ticks idle)"
}

cpu_shares() { # web
	local way port server measure before after line
	for measure in "1k 1" "1k 64" "1m 4"; do
		for way in plain tunnel; do
			port=$(eval "echo \$${1}_$way")
			server=$1
			test "$way" = tunnel || server=${1}_plain
			server=$(eval "echo \$pid_$server")
			before=$(cpu_snapshot "$server")
			line=$(run_wrk "$1 $measure $way" "${measure#* }" \
			    "http://127.0.0.1:$port/${measure% *}") || exit 1
			after=$(cpu_snapshot "$server")
			note_cpu "$1" "$measure" "$way" "${line%% *}" \
			    "$before" "$after"
		done
	done
}

note_cpu() { # web, measure, way, requests, before, after
	local web=$1 measure="${2% *} c=${2#* }" way=$3 who us
	awk -v before="$5" -v after="$6" -v requests="$4" -v way="$way" \
	    -v tick="$(getconf CLK_TCK)" 'BEGIN {
		split("web server,backend,worker,Redis,agent,client and " \
		    "all else,idle", who, ",")
		n = split(before, b, " ")
		split(after, a, " ")
		for (i = 1; i <= n; i++) {
			us[i] = (a[i] - b[i]) * 1e6 / tick / requests
			if (i < 6)
				known += us[i]
		}
		us[6] -= known
		for (i = 1; i <= n; i++)
			if (way == "tunnel" || i < 3 || i > 5)
				print us[i] "\t" who[i]
	}' | while IFS=$(printf '\t') read -r us who; do
		note "$web" "$measure cpu us, $who" "$way" "$us"
	done
}
