package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"parley/node/httpd"
)

func newUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list, change and delete accounts",
		Long: `Add, list, change and delete accounts, while the node runs or not. A user is named
by login or by id. Passwords are asked for, or read from standard input; they are
never taken from the command line, where others could see them.`,
		Example: `  parley user add alice --full-name "Alice Jones"
  parley user add admin --root
  parley user list
  pwgen 20 1 | parley user passwd alice --password-stdin`,
	}
	cmd.AddCommand(newUserAdd(), newUserList(), newUserPasswd(),
		newUserState("suspend", "susp", "Sign a user out and let them in no more", "is suspended"),
		newUserState("resume", "ok", "Let a suspended user in again", "can sign in again"),
		newUserDel())
	return cmd
}

// withOperator runs a command that speaks to the node.
func withOperator(do func(*cobra.Command, *operator, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		s, err := settingsOf(cmd)
		if err != nil {
			return err
		}
		o, err := openOperator(cmd.Context(), s)
		if err != nil {
			return err
		}
		defer func() {
			if ended := o.close(); err == nil {
				err = ended
			}
		}()
		return do(cmd, o, args)
	}
}

func newUserAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add LOGIN",
		Short: "Add an account",
		Long: `Add an account, whether sign-up is open or not. Where an address is required of all,
give it here if you are sure of it, or the user will have to confirm one. A node takes
addresses of a kind for which the settings have a sender.

Root users see all reports and may act for others; they can sign in on the admin
listener only.`,
		Example: "  parley user add alice\n  parley user add bob --generate --full-name \"Bob Jones\"",
		Args:    cobra.ExactArgs(1),
		RunE:    withOperator(addUser),
	}
	cmd.Flags().Bool("root", false, "make a root user")
	cmd.Flags().String("full-name", "", "`name` that others see (default: the login)")
	cmd.Flags().String("email", "", "`address` of theirs, taken for confirmed")
	cmd.Flags().String("tel", "", "`number` of theirs, taken for confirmed")
	addPasswordFlags(cmd)
	addSettings(cmd, dataFlags)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

func addUser(cmd *cobra.Command, o *operator, args []string) error {
	in := httpd.AdminNewUser{
		Login: args[0], Name: stringFlag(cmd, "full-name"), Root: boolFlag(cmd, "root"),
		Email: stringFlag(cmd, "email"), Tel: stringFlag(cmd, "tel"),
	}
	var err error
	if in.Password, err = newPassword(cmd, args[0]); err != nil {
		return err
	}
	var u httpd.AdminUser
	if err := o.Do(cmd.Context(), http.MethodPost, "/admin/users", in, &u); err != nil {
		return explainUser(err, args[0])
	}
	tellPassword(cmd, in.Password)
	fmt.Fprintf(cmd.OutOrStdout(), "added %s, %s\n", who(u), u.ID)
	if in.Root {
		fmt.Fprintln(cmd.OutOrStdout(), "Root users sign in on the admin listener only (parley serve prints its address).")
	}
	return nil
}

// explainUser says more about the refusals that an operator will meet.
func explainUser(err error, login string) error {
	refusal := new(httpd.AdminError)
	if !errors.As(err, &refusal) {
		return err
	}
	switch refusal.Code {
	case http.StatusNotFound:
		return fmt.Errorf("there is no user %s; see: parley user list", login)
	case http.StatusConflict:
		if refusal.What == "cred" {
			return errors.New("the address is another user's; nothing was changed")
		}
		return fmt.Errorf("the login %s is taken", login)
	case http.StatusBadRequest:
		if refusal.What == "cred" {
			return errors.New("this is no address, or not of a kind that this node takes: set email.sender or tel.sender, or leave the address out; nothing was changed")
		}
	}
	return err
}

// who is how a user is called in messages.
func who(u httpd.AdminUser) string {
	if u.Login != "" {
		return clean(u.Login)
	}
	return u.ID
}

func newUserList() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List accounts",
		Args:    cobra.NoArgs,
		RunE:    withOperator(listUsers),
	}
	addJSON(cmd)
	addSettings(cmd, dataFlags)
	return cmd
}

func listUsers(cmd *cobra.Command, o *operator, _ []string) error {
	users := []httpd.AdminUser{}
	if err := o.Do(cmd.Context(), http.MethodGet, "/admin/users", nil, &users); err != nil {
		return err
	}
	if boolFlag(cmd, "json") {
		return printJSON(cmd.OutOrStdout(), users)
	}
	if len(users) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "no accounts yet; add one with: parley user add LOGIN")
		return nil
	}
	t := newTable(cmd.OutOrStdout(), "LOGIN", "NAME", "LEVEL", "STATE", "CREATED", "LAST ONLINE", "ID")
	for _, u := range users {
		seen := when(u.Seen)
		if u.Sessions > 0 {
			seen = "now"
		}
		t.row(u.Login, u.Name, u.Level, states[u.State], when(u.Created), seen, u.ID)
	}
	return t.flush()
}

// states are those of accounts in words.
var states = map[string]string{"ok": "ok", "susp": "suspended"}

func newUserPasswd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "passwd LOGIN",
		Short:   "Set a user's password and sign all their devices out",
		Example: "  parley user passwd alice\n  parley user passwd alice --generate",
		Args:    cobra.ExactArgs(1),
		RunE:    withOperator(setPassword),
	}
	addPasswordFlags(cmd)
	addSettings(cmd, dataFlags)
	cmd.ValidArgsFunction = completeLogin
	return cmd
}

func setPassword(cmd *cobra.Command, o *operator, args []string) error {
	password, err := newPassword(cmd, args[0])
	if err != nil {
		return err
	}
	var u httpd.AdminUser
	in := httpd.AdminPassword{Password: password}
	if err := o.Do(cmd.Context(), http.MethodPut, userPath(args[0], "/password"), in, &u); err != nil {
		return explainUser(err, args[0])
	}
	tellPassword(cmd, password)
	fmt.Fprintf(cmd.OutOrStdout(), "%s has a new password and is signed out everywhere\n", who(u))
	return nil
}

func newUserState(name, state, short, done string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " LOGIN...",
		Short: short,
		Args:  cobra.MinimumNArgs(1),
		RunE: withOperator(func(cmd *cobra.Command, o *operator, args []string) error {
			for _, login := range args {
				var u httpd.AdminUser
				err := o.Do(cmd.Context(), http.MethodPut, userPath(login, "/state"), httpd.AdminState{State: state}, &u)
				if err != nil {
					return explainUser(err, login)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", who(u), done)
			}
			return nil
		}),
	}
	addSettings(cmd, dataFlags)
	cmd.ValidArgsFunction = completeLogin
	return cmd
}

func newUserDel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "del LOGIN",
		Short: "Delete an account for good",
		Long: `Delete an account for good, with its groups, files and notes. What others have
received from the user stays with them, as with mail, unless --hard. The id of the
user is never used again.`,
		Example: "  parley user del mallory\n  parley user del mallory --hard --yes",
		Args:    cobra.ExactArgs(1),
		RunE:    withOperator(deleteUser),
	}
	cmd.Flags().Bool("hard", false, "delete the conversations from the others as well")
	cmd.Flags().BoolP("yes", "y", false, "do not ask")
	addSettings(cmd, dataFlags)
	cmd.ValidArgsFunction = completeLogin
	return cmd
}

func deleteUser(cmd *cobra.Command, o *operator, args []string) error {
	if !boolFlag(cmd, "yes") {
		if err := confirm(cmd, fmt.Sprintf("Delete %s and everything they own, for good?", clean(args[0]))); err != nil {
			return err
		}
	}
	path := userPath(args[0], "")
	if boolFlag(cmd, "hard") {
		path += "?hard=1"
	}
	var u httpd.AdminUser
	if err := o.Do(cmd.Context(), http.MethodDelete, path, nil, &u); err != nil {
		return explainUser(err, args[0])
	}
	fmt.Fprintf(cmd.OutOrStdout(), "deleted %s, %s\n", who(u), u.ID)
	return nil
}

// completeLogin offers the logins of accounts.
func completeLogin(cmd *cobra.Command, _ []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var logins []cobra.Completion
	list := withOperator(func(cmd *cobra.Command, o *operator, _ []string) error {
		var users []httpd.AdminUser
		err := o.Do(cmd.Context(), http.MethodGet, "/admin/users", nil, &users)
		for _, u := range users {
			if u.Login != "" && strings.HasPrefix(u.Login, begin) {
				logins = append(logins, cobra.CompletionWithDesc(clean(u.Login), clean(u.Name)))
			}
		}
		return err
	})
	if err := list(cmd, nil); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveError
	}
	return logins, cobra.ShellCompDirectiveNoFileComp
}
