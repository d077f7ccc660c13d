// The page is complete without this: it adds the arrow keys, buttons to copy a line, and one to open everything.
(function () {
  'use strict';
  document.documentElement.classList.add('js');
  var sequence = document.getElementById('sequence');
  var said = document.getElementById('said');

  function say(text) { said.textContent = text; }

  function lines() {
    return Array.prototype.filter.call(sequence.querySelectorAll('.row > details > summary'), function (s) {
      return s.getClientRects().length > 0;
    });
  }

  if (sequence) {
    sequence.addEventListener('keydown', function (event) {
      if (event.altKey || event.ctrlKey || event.metaKey) { return; }
      var summary = event.target.closest('.row > details > summary');
      if (event.key === 'Escape') {
        var open = event.target.closest('details[open]');
        if (open) {
          open.open = false;
          open.querySelector('summary').focus();
          event.preventDefault();
        }
        return;
      }
      if (!summary || ['ArrowDown', 'ArrowUp', 'Home', 'End'].indexOf(event.key) < 0) { return; }
      var all = lines();
      var to = all.indexOf(summary);
      if (event.key === 'ArrowDown') { to += 1; }
      if (event.key === 'ArrowUp') { to -= 1; }
      if (event.key === 'Home') { to = 0; }
      if (event.key === 'End') { to = all.length - 1; }
      if (all[to]) {
        all[to].focus();
        all[to].scrollIntoView({ block: 'nearest' });
      }
      event.preventDefault();
    });

    var filter = sequence.querySelector('.filter');
    var opener = document.createElement('button');
    opener.type = 'button';
    opener.textContent = 'open all';
    opener.addEventListener('click', function () {
      var opening = opener.textContent === 'open all';
      sequence.querySelectorAll('.row > details').forEach(function (d) { d.open = opening; });
      opener.textContent = opening ? 'close all' : 'open all';
    });
    filter.appendChild(opener);
  }

  // A link to an event opens it.
  function openTarget() {
    var target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var d = target && target.querySelector('details') || target; d; d = d.parentElement) {
      if (d.tagName === 'DETAILS' && d.closest('.row')) { d.open = true; }
    }
  }
  window.addEventListener('hashchange', openTarget);
  openTarget();

  function copy(text) {
    if (navigator.clipboard && window.isSecureContext) { return navigator.clipboard.writeText(text); }
    return Promise.reject(new Error('no clipboard'));
  }

  document.querySelectorAll('pre.raw').forEach(function (pre) {
    var box = document.createElement('div');
    box.className = 'rawbox';
    pre.replaceWith(box);
    box.appendChild(pre);
    var button = document.createElement('button');
    button.type = 'button';
    button.className = 'copy';
    button.textContent = 'Copy';
    button.addEventListener('click', function () {
      copy(pre.textContent).then(function () { say('copied'); button.textContent = 'Copied'; }, function () {
        var range = document.createRange();
        range.selectNodeContents(pre);
        var selection = window.getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        say('selected; copy it with the keyboard');
        button.textContent = 'Selected';
      });
    });
    box.appendChild(button);
  });
}());
