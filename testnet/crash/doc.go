// Package crash proves that a node loses nothing of what it acknowledged, and makes
// up nothing, when it is killed. Clients put a real process under load and keep a
// [Journal] of what they asked and what they were told; the process is killed with
// SIGKILL at random moments and started again on the same data; then everything
// that clients can see is compared with the journal.
//
// What is promised, and checked after every kill:
//
//   - a message that was acknowledged, or that anybody was shown, is there, under its
//     seq, or has been deleted;
//   - no message is there twice, under another author, or though it was refused;
//   - one without an answer is there whole or not at all;
//   - messages of one sender stand in the order in which they were sent;
//   - every seq from 1 to the last is a message or deleted, the same for all users;
//   - a deletion that was acknowledged holds, one without an answer holds for all of
//     its range or for nothing, and nothing else is deleted;
//   - a read or received mark is not lower than anybody was told, nor one that
//     nobody set; the author's marks cover the author's messages;
//   - a value with one writer (a mode, a description, being subscribed) is the last
//     that was acknowledged, or one that was sent after it.
//
// Killing a process does not lose what the operating system has been given, so this
// says nothing about power cuts: store/bolt tests those with a fault file.
package crash
