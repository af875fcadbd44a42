package api

import (
	"firescan/catalog"
)

func linkedResources(c *call) error {
	type schedule struct {
		ID             string `json:"id"`
		Name           string `json:"name"`
		ProjectID      string `json:"projectId"`
		Enabled        bool   `json:"enabled"`
		CronExpression string `json:"cronExpression"`
	}
	type pitr struct {
		ID        string `json:"id"`
		ProjectID string `json:"projectId"`
		Enabled   bool   `json:"enabled"`
		Status    string `json:"status"`
	}
	data := struct {
		Schedules    []schedule `json:"schedules"`
		Pitrs        []pitr     `json:"pitrConfigurations"`
		BackupsCount uint64     `json:"backupsCount"`
	}{[]schedule{}, []pitr{}, 0}
	if err := c.view(func(tx *catalog.Tx) error {
		d, err := c.destination(tx)
		if err != nil {
			return err
		}
		schedules, err := tx.Schedules(c.org, d.Id)
		if err != nil {
			return err
		}
		for _, r := range schedules {
			data.Schedules = append(data.Schedules, schedule{r.Id, r.Name, r.ProjectId, r.Enabled, r.CronExpression})
		}
		pitrs, err := tx.Pitrs(c.org, d.Id)
		if err != nil {
			return err
		}
		for _, r := range pitrs {
			data.Pitrs = append(data.Pitrs, pitr{r.Id, r.ProjectId, r.Enabled, r.Status})
		}
		counters, err := tx.Counters(c.org, d.Id)
		data.BackupsCount = counters.Backups
		return err
	}); err != nil {
		return err
	}
	return c.respond(envelope{Data: data})
}
