-- Ends all sessions as an administrator's command of other servers does, when the server is sent SIGUSR2: with a conflict.

module:set_global();

local timer = require "util.timer";
local sessions = prosody.full_sessions;

module:hook("signal/SIGUSR2", function ()
	timer.add_task(0, function ()
		local all = {};
		for _, session in pairs(sessions) do table.insert(all, session); end
		for _, session in ipairs(all) do
			session:close { condition = "conflict"; text = "Kicked by an administrator" };
		end
	end);
end);
