-- wrk.lua - prints one line of figures that the benchmark reads:
-- requests, duration us, bytes, errors, p50 us, p99 us
done = function(summary, latency, requests)
	local e = summary.errors
	print(string.format("BENCH %d %d %d %d %d %d", summary.requests,
	    summary.duration, summary.bytes,
	    e.connect + e.read + e.write + e.status + e.timeout,
	    latency:percentile(50), latency:percentile(99)))
end
