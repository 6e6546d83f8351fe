-- spread.lua - as wrk.lua, with requests to one of so many backends at random:
-- wrk ... -- COUNT
dofile((debug.getinfo(1, "S").source:sub(2):gsub("spread.lua$", "wrk.lua")))

local count = 1

init = function(args)
	count = tonumber(args[1])
	math.randomseed(os.time())
end

request = function()
	return wrk.format("GET", "/b/" .. math.random(count) .. "/1k")
end
