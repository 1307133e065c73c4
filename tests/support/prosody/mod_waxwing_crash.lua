-- Lets the server die at once, but between two stanzas, when it is sent SIGUSR1.
--
-- Prosody stores a message in the sender's archive and then in the reader's. Killed between the two it has the message
-- for the one and not for the other, which nobody can mend who sees only one of them.

module:set_global();

local signal = require "util.signal";
local timer = require "util.timer";

module:hook("signal/SIGUSR1", function ()
	timer.add_task(0, function () signal.raise("SIGKILL"); end);
end);
